/// The whole C++ API: `#include <kette/kette.hpp>` and link the library.
///
///   auto rt = kette::runtime::create().value();
///   auto m = kette::model::open(rt, "model.gguf").value();
///   kette::session s{m};
///   for (const kette::event& e : s.chat("Hi").max_tokens(200).stream()) std::cout << e.text() << std::flush;
#pragma once

#include "kette/adapter.hpp"
#include "kette/chat.hpp"
#include "kette/config.hpp"
#include "kette/error.hpp"
#include "kette/generate.hpp"
#include "kette/grammar.hpp"
#include "kette/model.hpp"
#include "kette/runtime.hpp"
#include "kette/scheduler.hpp"
#include "kette/session.hpp"
#include "kette/span.hpp"
