#include "models/fingerprint.h"

#include <algorithm>
#include <bit>

#include "file/printable.h"

namespace kette {
namespace {

// Of each tensor so many stretches that all together have about kSampled bytes, but never fewer than kLeastSamples.
constexpr uint64_t kSample = 4096, kSampled = 4 << 20, kLeastSamples = 4;

void add_shape(const CheckpointTensor& t, Hash128& hash) {
  hash.text(t.name);
  hash.text(t.type->name);
  hash.number(t.shape.size());
  for (const uint64_t n : t.shape) hash.number(n);
  hash.number(t.bytes);
}

// Evenly spread from the first byte to the last; all bytes of a tensor that has no more than the samples.
Status add_samples(const CheckpointTensor& t, uint64_t samples, std::byte* buffer, Hash128& hash) {
  const bool all = t.bytes / kSample < samples;
  const uint64_t stride = all ? kSample : (t.bytes - kSample) / (samples - 1);
  if (all) samples = t.bytes / kSample + (t.bytes % kSample != 0 ? 1 : 0);
  for (uint64_t i = 0; i < samples; ++i) {
    const uint64_t offset = !all && i + 1 == samples ? t.bytes - kSample : i * stride;
    const std::span<std::byte> stretch(buffer, std::min(kSample, t.bytes - offset));
    KETTE_TRY(t.source->read_at(t.offset + offset, stretch).within(printable(t.name, 96)));
    hash.bytes(stretch);
  }
  return {};
}

void add(bool v, Hash128& hash) { hash.number(v); }
void add(int64_t v, Hash128& hash) { hash.number(static_cast<uint64_t>(v)); }
void add(double v, Hash128& hash) { hash.number(std::bit_cast<uint64_t>(v)); }
void add(const std::string& v, Hash128& hash) { hash.text(v); }
template <class T>
void add(const std::vector<T>& list, Hash128& hash) {
  hash.number(list.size());
  for (const T& v : list) add(v, hash);
}

void add_setting(const Config::Value& value, Hash128& hash) {
  hash.number(value.index());
  std::visit([&](const auto& v) { add(v, hash); }, value);
}

}  // namespace

TensorSampler::TensorSampler(const Checkpoint& checkpoint, size_t tensors, Executor& executor)
    : checkpoint_(checkpoint),
      samples_(std::max<uint64_t>(kSampled / kSample / std::max<size_t>(1, tensors), kLeastSamples)),
      executor_(executor),
      buffers_(executor.width() * kSample) {}

Status TensorSampler::add(std::span<const EncodedTensor> tensors, Hash128& key) {
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

Status TensorSampler::hash(const EncodedTensor& t, std::byte* buffer, Hash128& out) const {
  add_shape(*t.tensor, out);
  out.text(t.format != nullptr ? t.format->name : t.tensor->type->name);
  KETTE_TRY(add_samples(*t.tensor, samples_, buffer, out));
  const CheckpointTensor* scales = checkpoint_.find(t.tensor->name + "_scale_inv");
  if (scales == nullptr) return {};
  add_shape(*scales, out);
  return add_samples(*scales, samples_, buffer, out);
}

Result<Hash128> fingerprint(const Checkpoint& checkpoint, std::span<const EncodedTensor> tensors, Executor& executor) {
  Hash128 key;
  key.text("kette model");
  key.text(checkpoint.architecture());
  for (const auto& [name, value] : checkpoint.config().under("")) {
    key.text(name);
    add_setting(value, key);
  }
  key.number(tensors.size());
  KETTE_TRY(TensorSampler(checkpoint, tensors.size(), executor).add(tensors, key));
  return key;
}

}  // namespace kette
