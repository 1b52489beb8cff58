#include "models/binder.h"
#include "models/model.h"

namespace kette {

#define KETTE_MODEL(file, name) Result<std::unique_ptr<Model>> bind_##file(Binder& binder);
#include "models/models.inc"
#undef KETTE_MODEL

bool has_model(std::string_view architecture) {
#define KETTE_MODEL(file, name) \
  if (architecture == name) return true;
#include "models/models.inc"
#undef KETTE_MODEL
  return false;
}

Result<std::unique_ptr<Model>> bind_model(Binder& binder) {
#define KETTE_MODEL(file, name) \
  if (binder.architecture() == name) return bind_##file(binder);
#include "models/models.inc"
#undef KETTE_MODEL
  std::string known;
#define KETTE_MODEL(file, name) known += known.empty() ? name : ", " name;
#include "models/models.inc"
#undef KETTE_MODEL
  return error(Code::kUnsupported, "architecture {:.64}: no model for it, there are {}", binder.architecture(), known);
}

}  // namespace kette
