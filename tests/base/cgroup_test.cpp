// The limits of a control group, in folders laid out as the system shows them.
#include "base/cgroup.h"

#include <doctest/doctest.h>

#include "support/folder.h"

namespace kette::test {
namespace {

struct Groups {
  Folder folder;
  void write(const std::string& name, const std::string& text) {
    const std::filesystem::path path = folder.path / name;
    std::filesystem::create_directories(path.parent_path());
    write_file(path, text);
  }
  ControlGroups groups() const { return {folder.path.string(), (folder.path / "membership").string()}; }
  uint32_t cpus() const { return cgroup_cpus(groups()); }
  uint64_t memory() const { return cgroup_memory(groups()); }
};

}  // namespace

TEST_CASE("version 2: the least of a group and those around it") {
  Groups g;
  g.write("membership", "0::/user.slice/app.service\n");
  CHECK(g.cpus() == 0);
  g.write("user.slice/app.service/cpu.max", "max 100000\n");
  CHECK(g.cpus() == 0);
  g.write("user.slice/cpu.max", "350000 100000\n");
  CHECK(g.cpus() == 4);
  g.write("user.slice/app.service/cpu.max", "200000 100000\n");
  CHECK(g.cpus() == 2);
  g.write("cpu.max", "1000 100000\n");
  CHECK(g.cpus() == 1);

  CHECK(g.memory() == 0);
  g.write("user.slice/app.service/memory.max", "max\n");
  CHECK(g.memory() == 0);
  g.write("user.slice/memory.max", "5368709120\n");
  CHECK(g.memory() == 5368709120);
  g.write("user.slice/app.service/memory.max", "2147483648\n");
  CHECK(g.memory() == 2147483648);
}

TEST_CASE("version 2 in a container, which sees its own group as the root") {
  Groups g;
  g.write("membership", "0::/../../not/shown\n");
  g.write("cpu.max", "150000 100000\n");
  CHECK(g.cpus() == 2);
  g.write("membership", "0::/\n");
  CHECK(g.cpus() == 2);
  g.write("membership", "");
  CHECK(g.cpus() == 2);
}

TEST_CASE("version 1, beside other controllers") {
  Groups g;
  g.write("membership", "9:name=systemd:/\n5:memory:/docker/ab12\n4:cpu,cpuacct:/docker/ab12\n3:cpuset:/\n0::/\n");
  g.write("cpu/docker/ab12/cpu.cfs_quota_us", "-1\n");
  g.write("cpu/docker/ab12/cpu.cfs_period_us", "100000\n");
  CHECK(g.cpus() == 0);
  g.write("cpu/docker/ab12/cpu.cfs_quota_us", "300000\n");
  CHECK(g.cpus() == 3);
  g.write("cpu/cpu.cfs_quota_us", "200000\n");
  g.write("cpu/cpu.cfs_period_us", "100000\n");
  CHECK(g.cpus() == 2);

  CHECK(g.memory() == 0);
  g.write("memory/memory.limit_in_bytes", "9223372036854771712\n");  // how version 1 says none
  CHECK(g.memory() == 9223372036854771712u);
  g.write("memory/docker/ab12/memory.limit_in_bytes", "1073741824\n");
  CHECK(g.memory() == 1073741824);
}

TEST_CASE("what is not as expected is no limit") {
  Groups g;
  for (const char* text : {"", "x", "100000", "100000 0", "max", "99999999999999999999999 100000", "-5 100000"}) {
    g.write("membership", "0::/\n:\nnonsense\n7:cpu\n");
    g.write("cpu.max", text);
    CAPTURE(text);
    CHECK(g.cpus() == 0);
  }
  for (const char* text : {"", "x", "max", "99999999999999999999999", "-5"}) {
    g.write("memory.max", text);
    CAPTURE(text);
    CHECK(g.memory() == 0);
  }
  g.write("cpu.max", "18446744073709551615 1");
  CHECK(g.cpus() == 4096);
}

}  // namespace kette::test
