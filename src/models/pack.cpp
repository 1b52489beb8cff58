#include "models/pack.h"

#include <algorithm>

#include "base/aligned_buffer.h"
#include "base/hash.h"
#include "file/gguf_header.h"
#include "file/new_file.h"
#include "file/printable.h"
#include "models/binder.h"

namespace kette {
namespace {

// Of each tensor so many stretches that all together have about kSampled bytes, but never fewer than kLeastSamples.
constexpr uint64_t kSample = 4096, kSampled = 4 << 20, kLeastSamples = 4;
constexpr size_t kTensorsAtOnce = 256;  // between two looks at the cancel flag

void add_shape(const CheckpointTensor& t, Hash128& hash) {
  hash.text(t.name);
  hash.text(t.type->name);
  hash.number(t.shape.size());
  for (const uint64_t n : t.shape) hash.number(n);
  hash.number(t.bytes);
}

// Evenly spread from the first byte on; all bytes of a tensor that has no more than the samples.
Status add_samples(const CheckpointTensor& t, uint64_t samples, std::byte* buffer, Hash128& hash) {
  const uint64_t stride = std::max(kSample, t.bytes / samples);
  for (uint64_t offset = 0; offset < t.bytes; offset += stride) {
    const std::span<std::byte> stretch(buffer, std::min(kSample, t.bytes - offset));
    KETTE_TRY(t.source->read_at(t.offset + offset, stretch).within(printable(t.name, 96)));
    hash.bytes(stretch);
  }
  return {};
}

class Sampler {
 public:
  Sampler(const Checkpoint& checkpoint, size_t tensors, Executor& executor)
      : checkpoint_(checkpoint),
        samples_(std::max<uint64_t>(kSampled / kSample / std::max<size_t>(1, tensors), kLeastSamples)),
        executor_(executor),
        buffers_(executor.width() * kSample) {}

  // Of each tensor one hash, of its shape, samples and scales; added in their order.
  Status add(std::span<const EncodedTensor> tensors, Hash128& key) {
    std::vector<Hash128> hashes(tensors.size());
    std::vector<Status> statuses(tensors.size());
    executor_.parallel_for(static_cast<uint32_t>(tensors.size()), [&](uint32_t i, uint32_t worker) {
      try {
        statuses[i] = hash(tensors[i], buffers_.data() + worker * kSample, hashes[i]);
      } catch (...) {  // no memory for a message; tasks do not throw
        statuses[i] = Status(Code::kOutOfMemory, {});
      }
    });
    for (size_t i = 0; i < tensors.size(); ++i) {
      KETTE_TRY(statuses[i]);
      key.hash(hashes[i]);
    }
    return {};
  }

 private:
  Status hash(const EncodedTensor& t, std::byte* buffer, Hash128& out) const {
    add_shape(*t.tensor, out);
    out.text(t.format->name);
    KETTE_TRY(add_samples(*t.tensor, samples_, buffer, out));
    const CheckpointTensor* scales = checkpoint_.find(t.tensor->name + "_scale_inv");
    if (scales == nullptr) return {};
    add_shape(*scales, out);
    return add_samples(*scales, samples_, buffer, out);
  }

  const Checkpoint& checkpoint_;
  uint64_t samples_;
  Executor& executor_;
  AlignedBuffer<std::byte> buffers_;
};

}  // namespace

Result<Pack> Pack::plan(const Checkpoint& checkpoint, std::span<const EncodedTensor> tensors, Executor& executor,
                        const std::function<Status()>& go_on) {
  Hash128 key;
  key.text("kette pack");
  key.number(kVersion);
  key.number(checkpoint.file_bytes());
  key.number(tensors.size());
  Sampler sampler(checkpoint, tensors.size(), executor);
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
