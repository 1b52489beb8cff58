#include "models/pack.h"

#include <algorithm>

#include "base/aligned_buffer.h"
#include "base/hash.h"
#include "file/gguf_header.h"
#include "file/new_file.h"
#include "file/printable.h"
#include "models/binder.h"
#include "models/fingerprint.h"

namespace kette {
namespace {

constexpr size_t kTensorsAtOnce = 256;  // between two looks at the cancel flag

}  // namespace

Result<Pack> Pack::plan(const Checkpoint& checkpoint, std::span<const EncodedTensor> tensors, Executor& executor,
                        const std::function<Status()>& go_on) {
  Hash128 key;
  key.text("kette pack");
  key.number(kVersion);
  key.number(checkpoint.file_bytes());
  key.number(tensors.size());
  TensorSampler sampler(checkpoint, tensors.size(), executor);
  for (size_t first = 0; first < tensors.size(); first += kTensorsAtOnce) {
    KETTE_TRY(go_on());
    KETTE_TRY(sampler.add(tensors.subspan(first, std::min(kTensorsAtOnce, tensors.size() - first)), key));
  }

  Pack pack;
  pack.key_ = key.hex();
  GgufHeader header;
  header.set("general.type", "packed_weights");  // no model of its own
  header.set("kette.pack.version", kVersion);
  header.set("kette.pack.key", pack.key_);
  for (const EncodedTensor& t : tensors)
    KETTE_TRY(header.add(t.tensor->name, t.tensor->shape, t.format->ggml_type, t.bytes));
  pack.front_ = header.finish();
  pack.bytes_ = pack.front_.size() + header.data_bytes();
  for (size_t i = 0; i < tensors.size(); ++i) {
    pack.entries_.push_back({tensors[i], pack.front_.size() + header.data_offset(i)});
    pack.by_tensor_.emplace(tensors[i].tensor, i);
  }
  return pack;
}

Status Pack::open(const std::string& directory, Access access) {
  KETTE_ASSIGN(std::unique_ptr<Source> source, open_path(directory + "/" + file_name(), access));
  const auto wrong = [&](std::string_view what) { return error(Code::kCorrupt, "{}: {}", file_name(), what); };
  if (source->size() != bytes_) return wrong(fmt::format("{} bytes, expected {}", source->size(), bytes_));
  std::string front(front_.size(), '\0');
  KETTE_TRY(source->read_at(0, std::as_writable_bytes(std::span(front))));
  if (front != front_) {
    const auto differs = std::mismatch(front.begin(), front.end(), front_.begin()).first - front.begin();
    return wrong(fmt::format("its header is not that of these weights, from byte {} on", differs));
  }
  source_ = std::move(source);
  return {};
}

Status Pack::write(const std::string& directory, Binder& encoder) const {
  KETTE_ASSIGN(const std::unique_ptr<NewFile> file, NewFile::create(directory + "/" + file_name(), bytes_));
  for (const auto& [encoded, at] : entries_) {
    const auto write = [&, at = at](uint64_t offset, std::span<const std::byte> piece) {
      return file->write_at(at + offset, piece);
    };
    KETTE_TRY(encoder.encode(*encoded.tensor, *encoded.format, write));
  }
  // Last, so that a file whose front is as planned was written to its end.
  KETTE_TRY(file->write_at(0, std::as_bytes(std::span(front_))));
  return file->keep();
}

const Pack::Entry* Pack::find(const CheckpointTensor& tensor) const {
  if (source_ == nullptr) return nullptr;
  const auto it = by_tensor_.find(&tensor);
  return it == by_tensor_.end() ? nullptr : &entries_[it->second];
}

}  // namespace kette
