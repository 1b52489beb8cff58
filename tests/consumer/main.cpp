// Succeeds if the library that was linked is the one the headers belong to and reports errors as values.
#include <kette/kette.h>

int main() {
  if (kette_version() != KETTE_VERSION) return 1;
  kette_runtime* runtime = nullptr;
  if (kette_runtime_new(nullptr, &runtime, nullptr) != KETTE_OK) return 2;
  kette_model* model = nullptr;
  kette_error* error = nullptr;
  if (kette_model_open(runtime, "no such file", nullptr, &model, &error) >= 0 || error == nullptr) return 3;
  kette_error_free(error);
  kette_runtime_unref(runtime);
  return 0;
}
