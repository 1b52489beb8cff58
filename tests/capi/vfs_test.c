/* A host's virtual file system: bytes from anywhere, reads that come short or fail, and every file closed. */
#include "check.h"

struct disk {
  struct bytes file;
  long opened, closed, mapped, unmapped, reads, destroyed;
  long fail_at; /* the n-th read fails, from 1 */
  size_t most;  /* bytes that one read gives; 0: all */
  int can_map;
};

static int32_t open_file(void* user, const char* name, void** file, uint64_t* size) {
  struct disk* disk = user;
  if (strcmp(name, "model") != 0) return strcmp(name, "secret") == 0 ? 13 : 2;
  ++disk->opened;
  *file = disk->file.data;
  *size = disk->file.size;
  return 0;
}
static int64_t read_at(void* user, void* file, uint64_t offset, void* dst, size_t n) {
  struct disk* disk = user;
  CHECK(file == disk->file.data);
  if (++disk->reads == disk->fail_at) return -5;
  if (offset > disk->file.size) return -22;
  if (n > disk->file.size - offset) n = disk->file.size - offset;
  if (disk->most > 0 && n > disk->most) n = disk->most;
  memcpy(dst, disk->file.data + offset, n);
  return (int64_t)n;
}
static const void* map_file(void* user, void* file, uint64_t offset, size_t n) {
  struct disk* disk = user;
  (void)n;
  if (!disk->can_map) return NULL;
  ++disk->mapped;
  return (const char*)file + offset;
}
static void unmap_file(void* user, void* file, const void* p, size_t n) {
  (void)file, (void)p, (void)n;
  ++((struct disk*)user)->unmapped;
}
static void close_file(void* user, void* file) {
  (void)file;
  ++((struct disk*)user)->closed;
}
static void destroy(void* user) { ++((struct disk*)user)->destroyed; }

static kette_status open_from(kette_runtime* runtime, struct disk* disk, const char* name, kette_model** out,
                              kette_error** error) {
  SIZED(kette_vfs, vfs);
  SIZED(kette_model_params, params);
  vfs.user = disk;
  vfs.open = open_file;
  vfs.read_at = read_at;
  vfs.map = map_file;
  vfs.unmap = unmap_file;
  vfs.close = close_file;
  vfs.destroy = destroy;
  params.vfs = &vfs;
  return kette_model_open(runtime, name, &params, out, error);
}
static void check_closed(const struct disk* disk) {
  CHECK_INT(disk->closed, disk->opened);
  CHECK_INT(disk->unmapped, disk->mapped);
  CHECK_INT(disk->destroyed, 1);
}

int main(void) {
  kette_runtime* runtime = new_runtime(1);
  kette_model* plain = open_tiny(runtime, 0);
  kette_session* session = new_session(plain);
  const struct tokens expected = generate_greedy(session, 6);
  const struct bytes file = read_file(TINY);
  long reads = 0, n;
  int can_map;
  kette_session_free(session);
  kette_model_unref(plain);
  for (can_map = 0; can_map <= 1; ++can_map) {
    struct disk disk = {file, 0, 0, 0, 0, 0, 0, 0, 997, can_map};
    kette_model* model = NULL;
    struct tokens found;
    CHECK_INT(open_from(runtime, &disk, "model", &model, NULL), KETTE_OK);
    REQUIRE(model != NULL);
    session = new_session(model);
    kette_model_unref(model);
    found = generate_greedy(session, 6);
    CHECK(same_tokens(&expected, &found));
    CHECK_INT(disk.destroyed, 0); /* the session keeps the model, the model the file */
    kette_session_free(session);
    check_closed(&disk);
    CHECK((disk.mapped > 0) == can_map);
    if (!can_map) reads = disk.reads;
  }
  /* Any read may fail. */
  for (n = 2; n <= reads; n += 1 + reads / 60) {
    struct disk disk = {file, 0, 0, 0, 0, 0, 0, n, 997, 0};
    kette_model* model = NULL;
    kette_error* error = NULL;
    CHECK_INT(open_from(runtime, &disk, "model", &model, &error), KETTE_E_IO);
    CHECK_INT(kette_error_os_code(error), 5);
    kette_error_free(error);
    CHECK(model == NULL);
    check_closed(&disk);
  }
  {
    struct disk disk = {file, 0, 0, 0, 0, 0, 0, 0, 0, 0};
    kette_model* model = NULL;
    kette_error* error = NULL;
    CHECK_FAILS(open_from(runtime, &disk, "nothing", &model, &error), KETTE_E_NOT_FOUND, "nothing");
    check_closed(&disk);
    CHECK_INT(open_from(runtime, &disk, "secret", &model, &error), KETTE_E_IO);
    CHECK_INT(kette_error_os_code(error), 13);
    kette_error_free(error);
    CHECK_INT(disk.destroyed, 2); /* once for each call */
    /* A call that fails for another reason gives the hook back too. */
    CHECK_INT(open_from(NULL, &disk, "model", &model, NULL), KETTE_E_INVALID_ARGUMENT);
    CHECK_INT(open_from(runtime, &disk, NULL, &model, NULL), KETTE_E_INVALID_ARGUMENT);
    CHECK_INT(open_from(runtime, &disk, "model", NULL, NULL), KETTE_E_INVALID_ARGUMENT);
    CHECK_INT(disk.destroyed, 5);
    CHECK_INT(disk.closed, disk.opened);
  }
  free(file.data);
  kette_runtime_unref(runtime);
  return failures != 0;
}
