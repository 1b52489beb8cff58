// Measures what this machine can do at most, so that a speed can be stated as a share of it: read bandwidth of the
// memory, and multiply-adds in every form that this CPU has.   limits [THREADS] [MIB] [REPETITIONS]
// One JSON object: for each figure the median and the best of the repetitions, in 1e9 bytes or operations a second (a
// multiply-add is two). All figures take turns in short slices, so that a neighbour of a shared machine who comes and
// goes does not spoil a single one of them.
#include <cpuid.h>
#include <immintrin.h>
#include <pthread.h>
#include <sched.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <string>
#include <thread>
#include <vector>

namespace {

using Clock = std::chrono::steady_clock;

// Twelve sums that do not wait for each other: more than latency times width of any unit below. The instructions are
// spelled out, so that no compiler merges or drops what computes nothing of use.
#define TWELVE(op) op(0) op(1) op(2) op(3) op(4) op(5) op(6) op(7) op(8) op(9) op(10) op(11)
#define TWELVE_SUMS(name, target_isa, type, x_value, instruction) \
  __attribute__((target(target_isa))) void name(long steps) {     \
    type v[12] = {}, x = x_value;                                 \
    for (; steps > 0; --steps) {                                  \
      TWELVE(instruction)                                         \
    }                                                             \
  }
#define FMA(i) __asm__ volatile("vfmadd231ps %1, %1, %0" : "+v"(v[i]) : "v"(x));
#define FMA_VEX(i) __asm__ volatile("vfmadd231ps %1, %1, %0" : "+x"(v[i]) : "x"(x));
#define DPBF16(i) __asm__ volatile("vdpbf16ps %1, %1, %0" : "+v"(v[i]) : "v"(x));
#define DPBUSD(i) __asm__ volatile("vpdpbusd %1, %1, %0" : "+v"(v[i]) : "v"(x));
#define DPBUSD_VEX(i) __asm__ volatile("%{vex%} vpdpbusd %1, %1, %0" : "+x"(v[i]) : "x"(x));

TWELVE_SUMS(f32_avx2, "avx2,fma", __m256, _mm256_set1_ps(1e-9f), FMA_VEX)
TWELVE_SUMS(f32_avx512, "avx512f", __m512, _mm512_set1_ps(1e-9f), FMA)
TWELVE_SUMS(bf16_avx512, "avx512f", __m512, _mm512_set1_ps(1e-9f), DPBF16)
TWELVE_SUMS(int8_avx_vnni, "avx2", __m256i, _mm256_set1_epi8(3), DPBUSD_VEX)
TWELVE_SUMS(int8_avx512_vnni, "avx512f", __m512i, _mm512_set1_epi32(0x03050709), DPBUSD)

// Any bytes: pairs are added to 16 bits, and those must be widened at once.
__attribute__((target("avx2"))) void int8_avx2(long steps) {
  __m256i v[12] = {}, t;
  const __m256i x = _mm256_set1_epi8(3), ones = _mm256_set1_epi16(1);
  for (; steps > 0; --steps) {
#define STEP(i)                                                                          \
  __asm__ volatile("vpmaddubsw %2, %2, %1\n\tvpmaddwd %3, %1, %1\n\tvpaddd %1, %0, %0\n" \
                   : "+x"(v[i]), "=&x"(t)                                                \
                   : "x"(x), "x"(ones));
    TWELVE(STEP)
#undef STEP
  }
}

// Codes of 4 bits times bytes: eight pairs fit into 16 bits before they are widened. Two chains a sum, to be fast enough.
__attribute__((target("avx2"))) void int8_avx2_4bit(long steps) {
  __m256i v[8] = {}, t[4];
  const __m256i x = _mm256_set1_epi8(3), ones = _mm256_set1_epi16(1);
  for (; steps > 0; --steps) {
#define MORE "vpmaddubsw %5, %5, %3\n\tvpmaddubsw %5, %5, %4\n\tvpaddw %3, %1, %1\n\tvpaddw %4, %2, %2\n\t"
#define STEP(i)                                                                        \
  __asm__ volatile("vpmaddubsw %5, %5, %1\n\tvpmaddubsw %5, %5, %2\n\t" MORE MORE MORE \
                   "vpaddw %2, %1, %1\n\tvpmaddwd %6, %1, %1\n\tvpaddd %1, %0, %0\n"   \
                   : "+x"(v[i]), "=&x"(t[0]), "=&x"(t[1]), "=&x"(t[2]), "=&x"(t[3])    \
                   : "x"(x), "x"(ones));
    STEP(0) STEP(1) STEP(2) STEP(3) STEP(4) STEP(5) STEP(6) STEP(7)
#undef STEP
#undef MORE
  }
}

// Eight tiles of 16 rows of 64 bytes: two by two of them multiplied into four.
struct TileConfig {
  uint8_t palette = 1, start_row = 0, reserved[14] = {};
  uint16_t row_bytes[16] = {64, 64, 64, 64, 64, 64, 64, 64};
  uint8_t rows[16] = {16, 16, 16, 16, 16, 16, 16, 16};
};
static_assert(sizeof(TileConfig) == 64);

#define AMX_KERNEL(name, instruction)                                                                                  \
  void name(long steps) {                                                                                              \
    alignas(64) uint8_t data[1024];                                                                                    \
    std::memset(data, 0x3c, sizeof data);                                                                              \
    alignas(64) static const TileConfig config;                                                                        \
    __asm__ volatile("ldtilecfg %0" : : "m"(config));                                                                  \
    __asm__ volatile(                                                                                                  \
        "tilezero %%tmm0\n\ttilezero %%tmm1\n\ttilezero %%tmm2\n\ttilezero %%tmm3\n\t"                                 \
        "tileloadd (%0,%1,1), %%tmm4\n\ttileloadd (%0,%1,1), %%tmm5\n\t"                                               \
        "tileloadd (%0,%1,1), %%tmm6\n\ttileloadd (%0,%1,1), %%tmm7\n"                                                 \
        :                                                                                                              \
        : "r"(data), "r"(uint64_t{64})                                                                                 \
        : "memory");                                                                                                   \
    for (; steps > 0; --steps)                                                                                         \
      __asm__ volatile(instruction " %%tmm6, %%tmm4, %%tmm0\n\t" instruction " %%tmm7, %%tmm4, %%tmm1\n\t" instruction \
                                   " %%tmm6, %%tmm5, %%tmm2\n\t" instruction " %%tmm7, %%tmm5, %%tmm3\n"               \
                       :                                                                                               \
                       :                                                                                               \
                       :);                                                                                             \
    __asm__ volatile("tilerelease" : : :);                                                                             \
  }
AMX_KERNEL(amx_bf16, "tdpbf16ps")
AMX_KERNEL(amx_int8, "tdpbssd")

// Reads `bytes` (of 256), asking for lines `ahead` bytes ahead where that is not 0.
template <size_t ahead>
__attribute__((target("avx2"))) void read_memory(const char* p, size_t bytes) {
  __m256i a = _mm256_setzero_si256(), b = a, c = a, d = a;
  for (const char* end = p + bytes; p < end; p += 256) {
    for (size_t line = 0; ahead != 0 && line < 256; line += 64) _mm_prefetch(p + ahead + line, _MM_HINT_T0);
    const auto* q = reinterpret_cast<const __m256i*>(p);
    a = _mm256_xor_si256(_mm256_xor_si256(a, _mm256_load_si256(q)), _mm256_load_si256(q + 1));
    b = _mm256_xor_si256(_mm256_xor_si256(b, _mm256_load_si256(q + 2)), _mm256_load_si256(q + 3));
    c = _mm256_xor_si256(_mm256_xor_si256(c, _mm256_load_si256(q + 4)), _mm256_load_si256(q + 5));
    d = _mm256_xor_si256(_mm256_xor_si256(d, _mm256_load_si256(q + 6)), _mm256_load_si256(q + 7));
  }
  a = _mm256_xor_si256(_mm256_xor_si256(a, b), _mm256_xor_si256(c, d));
  __asm__ volatile("" : : "x"(a));
}

bool has_avx_vnni() {
  unsigned a = 0, b = 0, c = 0, d = 0;
  return __builtin_cpu_supports("avx2") && __get_cpuid_count(7, 1, &a, &b, &c, &d) != 0 && (a >> 4 & 1) != 0;
}

// Tiles need the CPU and, once for each process, the operating system's leave (ARCH_REQ_XCOMP_PERM for XTILEDATA).
bool has_amx() {
  unsigned a = 0, b = 0, c = 0, d = 0;
  if (__get_cpuid_count(7, 0, &a, &b, &c, &d) == 0 || (d >> 22 & 1) == 0 || (d >> 24 & 3) != 3) return false;
  return syscall(SYS_arch_prctl, 0x1023, 18) == 0;
}

struct Figure {
  const char* name;
  double operations;  // of a step
  void (*compute)(long) = nullptr;
  void (*read)(const char*, size_t) = nullptr;
  long steps = 0;
  std::vector<double> rates = {};
};

std::vector<Figure> figures_of_this_cpu() {
  std::vector<Figure> list = {{"read", 0, nullptr, read_memory<0>}, {"read_prefetched", 0, nullptr, read_memory<4096>}};
  list.push_back({"f32_avx2", 12 * 8 * 2, f32_avx2});
  list.push_back({"int8_avx2", 12 * 32 * 2, int8_avx2});
  list.push_back({"int8_avx2_4bit", 8 * 8 * 32 * 2, int8_avx2_4bit});
  if (has_avx_vnni()) list.push_back({"int8_avx_vnni", 12 * 32 * 2, int8_avx_vnni});
  if (__builtin_cpu_supports("avx512f")) list.push_back({"f32_avx512", 12 * 16 * 2, f32_avx512});
  if (__builtin_cpu_supports("avx512vnni")) list.push_back({"int8_avx512_vnni", 12 * 64 * 2, int8_avx512_vnni});
  if (__builtin_cpu_supports("avx512bf16")) list.push_back({"bf16_avx512", 12 * 32 * 2, bf16_avx512});
  if (has_amx()) {
    list.push_back({"amx_bf16", 4 * 16 * 16 * 32 * 2, amx_bf16});
    list.push_back({"amx_int8", 4 * 16 * 16 * 64 * 2, amx_int8});
  }
  return list;
}

class Team {
 public:
  explicit Team(size_t threads) : threads_(threads) {
    cpu_set_t set;
    CPU_ZERO(&set);
    if (sched_getaffinity(0, sizeof set, &set) == 0)
      for (size_t cpu = 0; cpu < CPU_SETSIZE; ++cpu)
        if (CPU_ISSET(cpu, &set)) cpus_.push_back(cpu);
  }

  // Seconds from a common start until the last of the threads is through.
  template <class Work>
  double seconds(const Work& work) const {
    std::atomic<size_t> ready{0};
    std::atomic<int64_t> start{INT64_MAX};
    std::vector<std::thread> threads;
    std::vector<int64_t> ends(threads_);
    for (size_t t = 0; t < threads_; ++t)
      threads.emplace_back([&, t] {
        pin(t);
        ++ready;
        while (now() < start) {
        }
        work(t);
        ends[t] = now();
      });
    while (ready < threads_) std::this_thread::yield();
    const int64_t begin = now() + 100'000;
    start = begin;
    for (std::thread& thread : threads) thread.join();
    return static_cast<double>(*std::max_element(ends.begin(), ends.end()) - begin) * 1e-9;
  }

 private:
  static int64_t now() {
    return std::chrono::duration_cast<std::chrono::nanoseconds>(Clock::now().time_since_epoch()).count();
  }
  // Each to a CPU of its own, if there are as many.
  void pin(size_t t) const {
    if (cpus_.size() < threads_) return;
    cpu_set_t one;
    CPU_ZERO(&one);
    CPU_SET(cpus_[t], &one);
    pthread_setaffinity_np(pthread_self(), sizeof one, &one);
  }

  size_t threads_;
  std::vector<size_t> cpus_;
};

double slice(const Team& team, size_t threads, Figure& f, const char* memory, size_t part) {
  if (f.read != nullptr)
    return static_cast<double>(part * threads) / team.seconds([&](size_t t) { f.read(memory + t * part, part); });
  if (f.steps == 0) {  // as many as take about 10 ms of a processor, however busy the machine is
    double took = 0;
    for (f.steps = 1000; took < 0.008; f.steps *= 2) {
      const std::clock_t start = std::clock();
      f.compute(f.steps);
      took = static_cast<double>(std::clock() - start) / CLOCKS_PER_SEC;
    }
    f.steps /= 2;
  }
  return f.operations * static_cast<double>(f.steps) * static_cast<double>(threads) /
         team.seconds([&](size_t) { f.compute(f.steps); });
}

}  // namespace

int main(int argc, char** argv) {
  const auto number = [&](int i, size_t otherwise) {
    return argc > i ? static_cast<size_t>(std::strtoull(argv[i], nullptr, 10)) : otherwise;
  };
  const size_t threads = number(1, std::max(1u, std::thread::hardware_concurrency()));
  const size_t part = ((number(2, 1024) << 20) / std::max<size_t>(1, threads)) & ~size_t{4095};
  const size_t repetitions = number(3, 9);
  if (threads == 0 || threads > 1024 || part == 0 || repetitions == 0 || !__builtin_cpu_supports("avx2") ||
      !__builtin_cpu_supports("fma")) {
    std::fprintf(stderr, "limits [THREADS] [MIB] [REPETITIONS], on a CPU with AVX2\n");
    return 2;
  }
  const size_t bytes = part * threads;
  void* memory = mmap(nullptr, bytes + 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED) {
    std::fprintf(stderr, "limits: no %zu MiB of memory\n", bytes >> 20);
    return 1;
  }
  madvise(memory, bytes, MADV_HUGEPAGE);  // where the system allows it: a limit is what can be had at best
  char* p = static_cast<char*>(memory);
  const Team team(threads);
  team.seconds([&](size_t t) { std::memset(p + t * part, static_cast<int>(t) + 1, part); });

  std::vector<Figure> figures = figures_of_this_cpu();
  for (Figure& f : figures) slice(team, threads, f, p, part);  // the first warms up
  for (size_t i = 0; i < repetitions; ++i)
    for (Figure& f : figures) f.rates.push_back(slice(team, threads, f, p, part) * 1e-9);

  std::printf("{\"threads\": %zu, \"mib\": %zu, \"repetitions\": %zu", threads, bytes >> 20, repetitions);
  for (Figure& f : figures) {
    std::sort(f.rates.begin(), f.rates.end());
    std::printf(", \"%s\": {\"median\": %.2f, \"best\": %.2f}", f.name, f.rates[f.rates.size() / 2], f.rates.back());
  }
  std::printf("}\n");
  return 0;
}
