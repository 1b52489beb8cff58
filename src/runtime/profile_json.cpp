#include "runtime/profile_json.h"

#include <cmath>
#include <nlohmann/json.hpp>

namespace kette {
namespace {

using Json = nlohmann::ordered_json;
using Row = nn::Profile::Row;

double microseconds(nn::Profile::Duration d) { return static_cast<double>(d.count()) / 1e3; }
double ratio(double a, double b) { return b > 0 ? a / b : 0; }
// To so many digits behind the point: more would be noise.
double rounded(double x, double digits) { return std::round(x * std::pow(10, digits)) / std::pow(10, digits); }

Json json_of(const Row& row, const Row& total, uint32_t width) {
  const double wall = microseconds(row.wall), serial = microseconds(row.serial());
  const double waiting = microseconds(row.waiting(width));
  Json out;
  out["name"] = row.name;
  out["times"] = row.times;
  out["wall_us"] = rounded(wall, 1);
  out["share"] = rounded(ratio(wall, microseconds(total.wall)), 4);
  out["parallel_us"] = rounded(microseconds(row.parallel), 1);
  out["serial_us"] = rounded(serial, 1);
  out["work_us"] = rounded(microseconds(row.work), 1);
  out["waiting_us"] = rounded(waiting, 1);
  out["late_us"] = rounded(microseconds(row.late) / width, 1);
  out["lost"] = rounded(ratio(serial + waiting, wall), 4);
  out["stretches"] = row.stretches;
  out["tasks"] = row.tasks;
  if (row.bytes > 0) out["gb_s"] = rounded(ratio(row.bytes, wall) / 1e3, 2);
  if (row.ops > 0) out["gop_s"] = rounded(ratio(row.ops, wall) / 1e3, 2);
  return out;
}

}  // namespace

std::string profile_json(const nn::Profile& profile, size_t layers) {
  const Row total = profile.total();
  const auto passes = static_cast<double>(profile.passes());
  Json out;
  out["threads"] = profile.width();
  out["passes"] = profile.passes();
  out["rows"] = profile.pass_rows();
  out["layers"] = layers;
  out["stretches_per_layer"] =
      rounded(ratio(static_cast<double>(profile.layer_stretches()), passes * static_cast<double>(layers)), 2);
  out["total"] = json_of(total, total, profile.width());
  out["phases"] = Json::array();
  for (const Row& row : profile.rows()) out["phases"].push_back(json_of(row, total, profile.width()));
  return out.dump();
}

}  // namespace kette
