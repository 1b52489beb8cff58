// Encoded matrices kept in a file, so that the next opening maps what this one encoded.
//
// The file is an ordinary GGUF of the encoded tensors alone, under their canonical names; everything else keeps coming
// from the model's own files. Its front (metadata and table) and its size follow from the plan, so a file is taken only
// if its front is the expected one, byte for byte: nothing in it is parsed or believed. (What is behind the front is
// weights, of which any bytes are safe; a bit that flips there goes unnoticed, as in any model file.)
//
// The plan's key stands in the front and in the file's name. It is a hash of what the encoded bytes are made of: of
// each tensor its name, types, shape and size, and samples of its bytes (all of them where a model is small), with
// those of its scales; and the size of the model's files. Whole models are too large to be read for it. Headers and
// sizes would not do: a model that was trained further has those of the model it comes from, but hardly any byte of its
// matrices. Modification times would not do either: copies differ in them, and files restored from archives do not.
// So a change of a few rows by hand, in a file that keeps its size, may pass: then the pack is to be removed.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <unordered_map>
#include <vector>

#include "base/thread_pool.h"
#include "file/checkpoint.h"
#include "models/weight_types.h"

namespace kette {

class Binder;

class Pack {
 public:
  // To be raised when an encoder gives other bytes than before, or the layout changes.
  static constexpr uint32_t kVersion = 1;

  struct Entry {
    EncodedTensor encoded;
    uint64_t offset;  // from the start of the file
  };

  // The file that holds these tensors of the checkpoint. Reads samples of them; `go_on` is called in between and may
  // end it.
  static Result<Pack> plan(const Checkpoint& checkpoint, std::span<const EncodedTensor> tensors, Executor& executor,
                           const std::function<Status()>& go_on);

  std::string file_name() const { return fmt::format("kette-{}.gguf", key_); }
  uint64_t bytes() const { return bytes_; }

  // The file in a directory. kNotFound if there is none; kCorrupt if it is not the one planned.
  Status open(const std::string& directory, Access access);
  // Makes it, with what `encoder` makes of the checkpoint's tensors. Seen by others once it is whole, and else not.
  Status write(const std::string& directory, Binder& encoder) const;

  // Where the opened file has the tensor; nullptr if it does not.
  const Entry* find(const CheckpointTensor& tensor) const;
  const Source& source() const { return *source_; }

 private:
  std::string key_, front_;
  std::vector<Entry> entries_;
  std::unordered_map<const CheckpointTensor*, size_t> by_tensor_;
  uint64_t bytes_ = 0;
  std::unique_ptr<Source> source_;
};

}  // namespace kette
