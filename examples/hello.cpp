// Ask a model a question and print the answer as it comes: hello_cpp MODEL.gguf ["question"]
#include <iostream>
#include <kette/kette.hpp>

int main(int argc, char** argv) try {
  if (argc < 2) return std::cerr << "usage: " << argv[0] << " MODEL.gguf [\"question\"]\n", 2;
  const auto runtime = kette::runtime::create().value();
  const auto model = kette::model::open(runtime, argv[1]).value();
  kette::session session(model);
  const char* question = argc > 2 ? argv[2] : "What is the capital of France? Answer in one short paragraph.";
  for (const kette::event& event : session.chat(question).temperature(0).max_tokens(200).stream())
    if (event.is_text()) std::cout << event.text() << std::flush;  // other kinds: what it thinks, tools it calls
  session.status().value();                                        // throws if the answer broke off
  std::cout << '\n';
} catch (const std::exception& e) {
  return std::cerr << e.what() << '\n', 1;
}
