// Self-consistency: think several times about one question and take the answer that most of them give.
//   vote MODEL "question" [n]
#include <cstdlib>
#include <iostream>
#include <kette/kette.hpp>

int main(int argc, char** argv) try {
  if (argc < 3) return std::cerr << "usage: " << argv[0] << " MODEL \"question\" [n]\n", 2;
  const auto runtime = kette::runtime::create().value();
  const auto model = kette::model::open(runtime, argv[1]).value();
  kette::session session(model);
  kette::generate_options options;
  options.temperature = 0.8f;
  options.max_tokens = 2000;
  const std::size_t n = argc > 3 ? std::strtoul(argv[3], nullptr, 10) : 5;
  const kette::vote vote = kette::think_and_vote(session, argv[2], n, options).value();
  for (const kette::reply& reply : vote.replies) std::cout << "  " << reply.text << '\n';
  std::cout << vote.votes << " of " << vote.replies.size() << ": " << vote.text << '\n';
} catch (const std::exception& e) {
  return std::cerr << e.what() << '\n', 1;
}
