// JSON schemas: the texts they allow, the order and layout of those, and every keyword that is refused by its name.
#include "sample/grammar.h"
#include "support/grammar.h"

namespace kette {
namespace {

using test::matches;

std::string repeated(const std::string& s, size_t n) {
  std::string out;
  for (size_t i = 0; i < n; ++i) out += s;
  return out;
}

TEST_CASE("any JSON value") {
  const std::vector<test::GrammarCase> cases = {
      {"{}",
       {"null", "true", "false", "0", "-1", "12.5", "1e5", "-0.25E-3", "\"\"", "\"a\\n\\u00e9\xC3\xA9\\ud83d\\ude00\"",
        "[]", "[1,2]", "[1, 2]", "{}", "{\"a\":1}", "{\"a\": [true, {\"b\": null}]}", "[\n  1,\n  2\n]",
        "{\n\t\"a\": 1\n}", "[ ]"},
       {"",
        "nul",
        "01",
        "1.",
        ".5",
        "+1",
        "1e",
        "\"",
        "\"\n\"",
        "\"\\q\"",
        "\"\\u12\"",
        "\"\\ud800\"",
        "\"\\udc00\\ud800\"",
        "[",
        "[1,]",
        "[,1]",
        "{\"a\"}",
        "{\"a\":}",
        "{a:1}",
        "{\"a\":1,}",
        " 1",
        "1 ",
        "[1 ,2]",
        "{\"a\" :1}",
        "[1,  2]",
        "[\n\n1]",
        "\"\xFF\"",
        "\"\x1f\"",
        "1 2",
        "'a'"}},
      {"true", {"1", "{}"}, {""}},
      {"{\"title\":\"t\",\"description\":\"d\",\"default\":1,\"examples\":[2],\"$schema\":\"s\",\"$id\":\"i\",\"$"
       "comment\":\"c\",\"x-a\":1}",
       {"1", "[]"},
       {"x"}},
  };
  test::check_cases(cases, Grammar::from_json_schema);
  const auto any = Grammar::from_json_schema("{}");
  CHECK(matches(*any, repeated("[", 1000) + repeated("]", 1000)));
  CHECK(matches(*any, repeated("{\"a\":", 1000) + "1" + repeated("}", 1000)));
  CHECK_FALSE(matches(*any, repeated("[", 1000) + repeated("]", 999) + "}"));
}

TEST_CASE("types, values and choices") {
  const std::vector<test::GrammarCase> cases = {
      {"{\"type\":\"string\"}", {"\"a\""}, {"1", "null"}},
      {"{\"type\":\"integer\"}", {"1", "-20", "0"}, {"1.5", "1e3", "\"1\""}},
      {"{\"type\":\"number\"}", {"1", "1.5", "1e3"}, {"\"1\""}},
      {"{\"type\":\"boolean\"}", {"true", "false"}, {"True", "1"}},
      {"{\"type\":\"null\"}", {"null"}, {"0"}},
      {"{\"type\":[\"string\",\"null\"]}", {"\"a\"", "null"}, {"1"}},
      {"{\"type\":[\"integer\",\"number\"]}", {"1.5"}, {"true"}},
      {"{\"type\":\"string\",\"nullable\":true}", {"\"a\"", "null"}, {"1"}},
      {"{\"enum\":[\"a\",1,null,[1,2],{\"k\":\"v\"},\"q\\\"\\n\"]}",
       {"\"a\"", "1", "null", "[1, 2]", "[1,2]", "{\"k\": \"v\"}", "\"q\\\"\\n\""},
       {"\"b\"", "2", "[1]", "{}", "\"\""}},
      {"{\"type\":\"string\",\"enum\":[\"a\",1]}", {"\"a\""}, {"1"}},
      {"{\"const\":{\"a\":[],\"b\":{}}}",
       {"{\"a\":[],\"b\":{}}", "{\"a\": [ ], \"b\": { }}"},
       {"{}", "{\"b\":{},\"a\":[]}"}},
      {"{\"const\":0.5}", {"0.5"}, {"0.50", "1"}},
      {"{\"anyOf\":[{\"type\":\"string\"},{\"type\":\"integer\"}]}", {"\"a\"", "1"}, {"1.5", "null"}},
      {"{\"oneOf\":[{\"type\":\"string\"},{\"type\":\"null\"}]}", {"\"a\"", "null"}, {"1"}},
      {"{\"oneOf\":[{\"const\":1},{\"enum\":[2,3]}]}", {"1", "3"}, {"4"}},
      {"{\"oneOf\":[{\"type\":\"object\",\"properties\":{\"k\":{\"const\":\"a\"},\"x\":{\"type\":\"integer\"}},"
       "\"required\":[\"k\",\"x\"]},"
       "{\"type\":\"object\",\"properties\":{\"k\":{\"const\":\"b\"},\"y\":{\"type\":\"string\"}},\"required\":[\"k\"]}"
       "]}",
       {"{\"k\":\"a\",\"x\":1}", "{\"k\":\"b\"}", "{\"k\":\"b\",\"y\":\"z\"}"},
       {"{\"k\":\"a\"}", "{\"k\":\"b\",\"x\":1}", "{\"k\":\"c\"}"}},
      {"{\"type\":\"object\",\"properties\":{\"a\":{\"type\":\"integer\"},\"b\":{\"type\":\"integer\"}},"
       "\"anyOf\":[{\"required\":[\"a\"]},{\"required\":[\"b\"]}]}",
       {"{\"a\":1}", "{\"b\":1}", "{\"a\":1,\"b\":2}"},
       {"{}"}},
      {"{\"allOf\":[{\"type\":\"object\",\"properties\":{\"a\":{\"type\":\"integer\"}},\"required\":[\"a\"]},"
       "{\"properties\":{\"b\":{\"type\":\"string\"}},\"required\":[\"b\"]}]}",
       {"{\"a\":1,\"b\":\"x\"}"},
       {"{\"a\":1}", "{\"b\":\"x\"}"}},
      {"{\"allOf\":[{\"type\":\"integer\",\"minimum\":3},{\"maximum\":5},{\"type\":\"number\"}]}",
       {"3", "5"},
       {"2", "6", "4.5"}},
      {"{\"allOf\":[{\"enum\":[1,2,3]},{\"enum\":[2,3,4]}]}", {"2", "3"}, {"1", "4"}},
      {"{\"properties\":{\"a\":{\"minLength\":2}},\"allOf\":[{\"properties\":{\"a\":{\"maxLength\":3}}}]}",
       {"{\"a\":\"xx\"}", "{\"a\":\"xxx\"}", "{}"},
       {"{\"a\":\"x\"}", "{\"a\":\"xxxx\"}", "1"}},
  };
  test::check_cases(cases, Grammar::from_json_schema);
}

TEST_CASE("objects: listed members in order, others behind") {
  const std::vector<test::GrammarCase> cases = {
      {"{\"type\":\"object\"}", {"{}", "{\"x\":[1]}"}, {"[]"}},
      {"{\"type\":\"object\",\"properties\":{\"a\":{\"type\":\"integer\"},\"b\":{\"type\":\"string\"},\"c\":{\"type\":"
       "\"null\"}},\"required\":[\"b\"]}",
       {"{\"b\":\"\"}", "{\"a\":1,\"b\":\"\"}", "{\"a\":1,\"b\":\"\",\"c\":null}", "{\"b\":\"\",\"c\":null}",
        "{ \"b\": \"\" }", "{\n  \"a\": 1,\n  \"b\": \"x\"\n}"},
       {"{}", "{\"a\":1}", "{\"b\":\"\",\"a\":1}", "{\"b\":\"\",\"d\":1}", "{\"b\":1}", "{\"b\":\"\",}",
        "{,\"b\":\"\"}"}},
      {"{\"type\":\"object\",\"properties\":{\"a\":{},\"b\":{}}}",
       {"{}", "{\"a\":1}", "{\"b\":[]}", "{\"a\":{},\"b\":null}"},
       {"{\"b\":1,\"a\":1}", "{\"c\":1}", "{\"a\":1,\"a\":1}"}},
      {"{\"type\":\"object\",\"properties\":{\"a\":{\"type\":\"integer\"}},\"additionalProperties\":{\"type\":"
       "\"boolean\"}}",
       {"{}", "{\"a\":1}", "{\"a\":1,\"b\":true}", "{\"b\":true,\"c\":false}", "{\"aa\":true}", "{\"\":true}",
        "{\"A\":true}"},
       {"{\"a\":true}", "{\"b\":1}", "{\"b\":true,\"a\":1}", "{\"\\u0061\":true}"}},
      {"{\"type\":\"object\",\"properties\":{\"a\":{\"type\":\"integer\"}},\"additionalProperties\":true}",
       {"{\"a\":1,\"b\":[]}", "{\"b\":{}}"},
       {"{\"a\":\"x\"}"}},
      {"{\"type\":\"object\",\"additionalProperties\":false}", {"{}", "{ }"}, {"{\"a\":1}"}},
      {"{\"type\":\"object\",\"additionalProperties\":{\"type\":\"integer\"}}",
       {"{}", "{\"a\":1,\"b\":2}"},
       {"{\"a\":\"\"}"}},
      {"{\"type\":\"object\",\"required\":[\"z\",\"y\"]}",
       {"{\"z\":1,\"y\":2}", "{\"z\":1,\"y\":2,\"x\":3}"},
       {"{}", "{\"y\":2}", "{\"y\":1,\"z\":1}"}},
      {"{\"type\":\"object\",\"properties\":{\"a\":{}},\"required\":[\"b\"],\"additionalProperties\":{\"type\":"
       "\"integer\"}}",
       {"{\"a\":null,\"b\":1}", "{\"b\":1,\"c\":2}"},
       {"{\"a\":null}", "{\"b\":null}"}},
      {"{\"properties\":{\"a\\\"\\n\xC3\xA9\":{\"type\":\"integer\"}}}", {"{\"a\\\"\\n\xC3\xA9\":1}"}, {"{\"a\":1}"}},
      {"{\"type\":\"object\",\"properties\":{\"a\":{\"type\":\"integer\"}},\"unevaluatedProperties\":false}",
       {"{\"a\":1}"},
       {"{\"b\":1}"}},
      {"{\"properties\":{\"a\":{\"type\":\"integer\"}},\"anyOf\":[{\"properties\":{\"b\":{}},\"required\":[\"b\"]},{}],"
       "\"unevaluatedProperties\":false}",
       {"{\"a\":1}", "{\"a\":1,\"b\":2}"},
       {"{\"c\":1}"}},
      {"{\"type\":\"object\",\"properties\":{\"a\":false,\"b\":true}}", {"{}", "{\"b\":1}"}, {"{\"a\":1}"}},
  };
  test::check_cases(cases, Grammar::from_json_schema);
  const std::vector<test::GrammarCase> by_name = {
      {R"({"patternProperties":{"^x-":{"type":"integer"},"^y[0-9]$":{"type":"null"}}})",
       {R"({})", R"({"x-a":1,"y1":null,"x-":2})"},
       {R"({"x-a":null})", R"({"y1":1})", R"({"z":1})", R"({"y11":null})"}},
      {R"({"properties":{"a":{"type":"null"}},"patternProperties":{"^x":{"type":"integer"}},"additionalProperties":{"type":"string"}})",
       {R"({"a":null,"x":1,"b":"","aa":"","xx":2})"},
       {R"({"x":""})", R"({"b":1})", R"({"a":1})"}},
      {R"({"propertyNames":{"pattern":"^[a-z]+$","maxLength":3},"additionalProperties":{"type":"integer"}})",
       {R"({})", R"({"abc":1,"z":2})"},
       {R"({"abcd":1})", R"({"A":1})"}},
      {R"({"properties":{"a":{"type":"integer"}},"propertyNames":{"enum":["a","b"]},"additionalProperties":true})",
       {R"({"a":1,"b":"x"})"},
       {R"({"c":1})"}},
      {R"({"type":"object","minProperties":1,"maxProperties":2})",
       {R"({"a":1})", R"({"a":1,"b":2})"},
       {R"({})", R"({"a":1,"b":2,"c":3})"}},
      {R"({"properties":{"a":{}},"required":["a"],"additionalProperties":{"type":"integer"},"minProperties":3,"maxProperties":3})",
       {R"({"a":"x","b":1,"c":2})"},
       {R"({"a":"x","b":1})", R"({"a":"x","b":1,"c":2,"d":3})"}},
      {R"({"properties":{"a":{},"b":{}},"required":["a"],"minProperties":1,"maxProperties":2})",
       {R"({"a":1})", R"({"a":1,"b":2})"},
       {R"({"b":1})"}},
      {R"({"type":"object","maxProperties":0})", {"{}"}, {R"({"a":1})"}},
  };
  test::check_cases(by_name, Grammar::from_json_schema);
  const std::vector<test::RefusedCase> refused = {
      {R"({"properties":{"ax":{}},"patternProperties":{"^a":{}}})", Code::kUnsupported, "patternProperties.^a"},
      {R"({"patternProperties":{"^a":{},"b$":{}}})", Code::kUnsupported, "patternProperties.b$"},
      {R"({"required":["a"],"patternProperties":{"^a":{}}})", Code::kUnsupported, "required \"a\""},
      {R"({"properties":{"a":{}},"propertyNames":{"pattern":"^b"}})", Code::kUnsupported, "propertyNames"},
      {R"({"propertyNames":{"not":{}}})", Code::kUnsupported, "propertyNames: keyword \"not\""},
      {R"({"properties":{"a":{},"b":{}},"minProperties":1})", Code::kUnsupported, "minProperties"},
      {R"({"properties":{"a":{},"b":{}},"maxProperties":1})", Code::kUnsupported, "maxProperties"},
      {R"({"allOf":[{"additionalProperties":false},{"patternProperties":{"a":{}}}]})", Code::kUnsupported,
       "patternProperties"},
  };
  test::check_refused(refused, Grammar::from_json_schema);
  // Many optional members, of names with one beginning: every subset in order.
  std::string schema = "{\"type\":\"object\",\"properties\":{";
  for (int i = 0; i < 200; ++i)
    schema += (i > 0 ? "," : "") + std::string("\"property_number_") + std::to_string(i) + "\":{\"type\":\"integer\"}";
  const auto many = Grammar::from_json_schema(schema + "}}");
  REQUIRE(many.ok());
  CHECK(matches(*many, "{}"));
  CHECK(matches(*many, "{\"property_number_0\":1,\"property_number_7\":2,\"property_number_199\":3}"));
  CHECK_FALSE(matches(*many, "{\"property_number_7\":1,\"property_number_6\":2}"));
}

TEST_CASE("arrays") {
  const std::vector<test::GrammarCase> cases = {
      {"{\"type\":\"array\"}", {"[]", "[1,\"a\"]"}, {"{}"}},
      {"{\"type\":\"array\",\"items\":{\"type\":\"integer\"}}", {"[]", "[1]", "[1, 2]", "[ 1 ]"}, {"[\"a\"]", "[1,]"}},
      {"{\"type\":\"array\",\"items\":{\"type\":\"integer\"},\"minItems\":2,\"maxItems\":3}",
       {"[1,2]", "[1,2,3]"},
       {"[]", "[1]", "[1,2,3,4]"}},
      {"{\"type\":\"array\",\"items\":{\"type\":\"integer\"},\"minItems\":1}", {"[1]", "[1,2,3]"}, {"[]"}},
      {"{\"type\":\"array\",\"maxItems\":0}", {"[]"}, {"[1]"}},
      {"{\"type\":\"array\",\"maxItems\":1,\"uniqueItems\":true}", {"[]", "[1]"}, {"[1,2]"}},
      {"{\"type\":\"array\",\"prefixItems\":[{\"type\":\"integer\"},{\"type\":\"string\"}]}",
       {"[]", "[1]", "[1,\"a\"]", "[1,\"a\",null,2]"},
       {"[\"a\"]", "[1,2]"}},
      {"{\"type\":\"array\",\"prefixItems\":[{\"type\":\"integer\"},{\"type\":\"string\"}],\"items\":false}",
       {"[]", "[1]", "[1,\"a\"]"},
       {"[1,\"a\",2]"}},
      {"{\"type\":\"array\",\"prefixItems\":[{\"type\":\"integer\"},{\"type\":\"string\"}],\"items\":{\"type\":"
       "\"null\"},\"minItems\":2,\"maxItems\":4}",
       {"[1,\"a\"]", "[1,\"a\",null]", "[1,\"a\",null,null]"},
       {"[1]", "[1,\"a\",2]", "[1,\"a\",null,null,null]"}},
      {"{\"type\":\"array\",\"items\":[{\"type\":\"integer\"},{\"type\":\"string\"}],\"additionalItems\":false,"
       "\"minItems\":2}",
       {"[1,\"a\"]"},
       {"[1]", "[1,\"a\",1]"}},
      {"{\"items\":{\"items\":{\"type\":\"boolean\"}}}", {"[[true],[]]"}, {"[true]"}},
  };
  test::check_cases(cases, Grammar::from_json_schema);
}

TEST_CASE("strings: length, pattern, format") {
  const std::vector<test::GrammarCase> cases = {
      {"{\"type\":\"string\",\"minLength\":2,\"maxLength\":3}",
       {"\"ab\"", "\"a\xC3\xA9\xF0\x9F\x98\x80\"", "\"\\n\\u0041\"", "\"\\ud83d\\ude00x\""},
       {"\"a\"", "\"abcd\"", "\"\\ud83d\\ude00\""}},
      {"{\"minLength\":1}", {"\"a\"", "\"aaaa\""}, {"\"\"", "1"}},
      {"{\"pattern\":\"^[a-z]{2}$\"}", {"\"ab\""}, {"\"abc\"", "\"a\"", "\"A1\""}},
      {"{\"pattern\":\"[0-9]\"}", {"\"1\"", "\"a1b\"", "\"\\n1\\\"\""}, {"\"ab\"", "\"\""}},
      {"{\"pattern\":\"^a\"}", {"\"a\"", "\"abc\""}, {"\"ba\""}},
      {"{\"pattern\":\"^\\\"\\\\n\\\\\\\\/$\"}", {"\"\\\"\\n\\\\/\""}, {"\"\\\"\\u000a\\\\/\""}},
      {"{\"pattern\":\"^[a-z]+$\",\"minLength\":3,\"maxLength\":5}",
       {"\"abc\"", "\"abcde\""},
       {"\"ab\"", "\"abcdef\"", "\"ABC\""}},
      {"{\"pattern\":\"^\\\\S+$\",\"maxLength\":4}",
       {"\"a\\\"b\"", "\"\xC3\xA9\xC3\xA9\xC3\xA9\xC3\xA9\""},
       {"\"a b\"", "\"abcde\"", "\"\""}},
      {"{\"format\":\"date\"}",
       {"\"2024-02-29\"", "\"1999-12-31\""},
       {"\"2023-02-29\"", "\"1900-02-29\"", "\"2024-13-01\"", "\"2024-04-31\"", "\"24-01-01\""}},
      {"{\"format\":\"time\"}", {"\"12:34:56Z\"", "\"00:00:00.123+05:30\""}, {"\"24:00:00Z\"", "\"12:34\""}},
      {"{\"format\":\"date-time\"}", {"\"2024-01-02T03:04:05Z\""}, {"\"2024-01-02 03:04:05Z\"", "\"2024-01-02\""}},
      {"{\"format\":\"duration\"}",
       {"\"P1D\"", "\"PT1H30M\"", "\"P1Y2M3DT4S\"", "\"P2W\""},
       {"\"P\"", "\"PT\"", "\"P1H\"", "\"P1DT\""}},
      {"{\"format\":\"uuid\"}", {"\"123e4567-e89b-12d3-a456-426614174000\""}, {"\"123e4567e89b12d3a456426614174000\""}},
      {"{\"format\":\"email\"}", {"\"a.b+c@example.com\""}, {"\"a@b\"", "\"@example.com\"", "\"a b@example.com\""}},
      {"{\"format\":\"hostname\"}", {"\"a-b.example\"", "\"a.b.c.d.e.f.g.h\""}, {"\"-a\"", "\"a..b\"", "\"a-\""}},
      {"{\"format\":\"ipv4\"}",
       {"\"127.0.0.1\"", "\"255.255.255.255\""},
       {"\"256.0.0.1\"", "\"1.2.3\"", "\"01.2.3.4\""}},
      {"{\"format\":\"ipv6\"}",
       {"\"::1\"", "\"2001:db8::8a2e:370:7334\"", "\"1:2:3:4:5:6:7:8\"", "\"::\"", "\"1::\""},
       {"\"1:2:3\"", "\"1::2::3\"", "\"1:2:3:4:5:6:7:8:9\"", "\"1:2:3:4:5:6:7::8:9\""}},
      {"{\"format\":\"uri\"}",
       {"\"https://example.com/a?b=c#d\"", "\"mailto:a@b.c\"", "\"http://x:80\""},
       {"\"example.com\"", "\"http://a b\"", "\"http:// \""}},
      {"{\"type\":\"string\",\"format\":\"email\",\"maxLength\":6}", {"\"a@b.cd\""}, {"\"ab@c.de\""}},
      {"{\"type\":\"string\",\"format\":\"password\"}", {"\"\\n\""}, {"1"}},
  };
  test::check_cases(cases, Grammar::from_json_schema);
  const auto longest = Grammar::from_json_schema("{\"type\":\"string\",\"maxLength\":65535}");
  REQUIRE(longest.ok());
  CHECK(matches(*longest, "\"" + repeated("\xC3\xA9", 65535) + "\""));
  CHECK_FALSE(matches(*longest, "\"" + repeated("x", 65536) + "\""));
}

TEST_CASE("numbers with bounds: every number near them") {
  const auto check_all = [](const std::string& schema, auto holds) {
    const auto grammar = Grammar::from_json_schema(schema);
    CAPTURE(schema);
    REQUIRE(grammar.ok());
    for (int i = -1300; i <= 1300; ++i) {
      CAPTURE(i);
      CHECK(matches(*grammar, std::to_string(i)) == holds(i));
    }
    CHECK_FALSE(matches(*grammar, "-0"));
    CHECK_FALSE(matches(*grammar, "007"));
  };
  check_all("{\"type\":\"integer\",\"minimum\":-12,\"maximum\":345}", [](int i) { return i >= -12 && i <= 345; });
  check_all("{\"type\":\"integer\",\"exclusiveMinimum\":99,\"exclusiveMaximum\":1000}",
            [](int i) { return i > 99 && i < 1000; });
  check_all("{\"type\":\"integer\",\"minimum\":10}", [](int i) { return i >= 10; });
  check_all("{\"type\":\"integer\",\"maximum\":-7}", [](int i) { return i <= -7; });
  check_all("{\"type\":\"integer\",\"minimum\":0}", [](int i) { return i >= 0; });
  check_all("{\"type\":\"integer\",\"exclusiveMaximum\":0}", [](int i) { return i < 0; });
  check_all("{\"type\":\"integer\",\"minimum\":-1000,\"maximum\":-200}", [](int i) { return i >= -1000 && i <= -200; });
  check_all("{\"type\":\"integer\",\"minimum\":0.5,\"maximum\":7.2}", [](int i) { return i >= 1 && i <= 7; });
  check_all("{\"type\":\"integer\",\"minimum\":5,\"exclusiveMinimum\":true,\"maximum\":9,\"exclusiveMaximum\":false}",
            [](int i) { return i > 5 && i <= 9; });
  check_all("{\"type\":\"integer\",\"minimum\":5,\"exclusiveMinimum\":3,\"maximum\":9,\"exclusiveMaximum\":9}",
            [](int i) { return i >= 5 && i < 9; });

  const auto check_hundredths = [](const std::string& schema, double least, double most, bool above, bool below) {
    const auto grammar = Grammar::from_json_schema(schema);
    CAPTURE(schema);
    REQUIRE(grammar.ok());
    for (int i = -1200; i <= 1200; ++i) {
      const std::string text = fmt::format("{}{}.{:02}", i < 0 ? "-" : "", std::abs(i) / 100, std::abs(i) % 100);
      const double x = i / 100.0;
      CAPTURE(text);
      CHECK(matches(*grammar, text) == ((above ? x > least : x >= least) && (below ? x < most : x <= most)));
    }
  };
  check_hundredths("{\"type\":\"number\",\"minimum\":0,\"maximum\":1}", 0, 1, false, false);
  check_hundredths("{\"type\":\"number\",\"exclusiveMinimum\":-1.5,\"maximum\":10.25}", -1.5, 10.25, true, false);
  check_hundredths("{\"type\":\"number\",\"minimum\":2.05,\"exclusiveMaximum\":2.5}", 2.05, 2.5, false, true);
  check_hundredths("{\"minimum\":-3.75,\"maximum\":-0.5}", -3.75, -0.5, false, false);
  const std::vector<test::GrammarCase> cases = {
      {"{\"type\":\"number\",\"multipleOf\":0.01}", {"1", "1.5", "1.25", "-3.10"}, {"1.255", "1e2"}},
      {"{\"type\":\"number\",\"multipleOf\":1}", {"1"}, {"1.5"}},
      {"{\"type\":\"integer\",\"format\":\"int32\"}", {"2147483647", "-2147483648"}, {"2147483648", "-2147483649"}},
      {"{\"type\":\"integer\",\"minimum\":-9223372036854775808,\"maximum\":18446744073709551615}",
       {"18446744073709551615", "-9223372036854775808"},
       {"18446744073709551616", "-9223372036854775809"}},
      {"{\"type\":\"number\",\"minimum\":1e3,\"maximum\":1.5e3}",
       {"1000", "1500.0", "1234.5"},
       {"999.9", "1500.1", "1e3"}},
  };
  test::check_cases(cases, Grammar::from_json_schema);
}

TEST_CASE("references and recursion") {
  const std::vector<test::GrammarCase> cases = {
      {"{\"$defs\":{\"n\":{\"type\":\"integer\"}},\"type\":\"array\",\"items\":{\"$ref\":\"#/$defs/n\"}}",
       {"[1]"},
       {"[\"a\"]"}},
      {"{\"definitions\":{\"a/b~c d\":{\"type\":\"null\"}},\"$ref\":\"#/definitions/a~1b~0c%20d\"}", {"null"}, {"1"}},
      {"{\"$ref\":\"#/$defs/a\",\"description\":\"x\",\"$defs\":{\"a\":{\"$ref\":\"#/$defs/b\"},\"b\":{\"const\":1}}}",
       {"1"},
       {"2"}},
      {"{\"type\":\"object\",\"properties\":{\"v\":{\"type\":\"integer\"},\"next\":{\"$ref\":\"#\"}},\"required\":["
       "\"v\"]}",
       {"{\"v\":1}", "{\"v\":1,\"next\":{\"v\":2,\"next\":{\"v\":3}}}"},
       {"{\"next\":{\"v\":1}}", "{\"v\":1,\"next\":{}}"}},
      {"{\"$defs\":{\"t\":{\"anyOf\":[{\"type\":\"integer\"},{\"type\":\"array\",\"items\":{\"$ref\":\"#/$defs/"
       "t\"}}]}},\"$ref\":\"#/$defs/t\"}",
       {"1", "[1,[2,[]]]"},
       {"\"a\"", "[\"a\"]"}},
      {"{\"$defs\":{\"b\":{\"type\":\"object\",\"properties\":{\"a\":{\"type\":\"integer\"}}}},\"$ref\":\"#/$defs/"
       "b\",\"required\":[\"a\"]}",
       {"{\"a\":1}"},
       {"{}"}},
      {"{\"prefixItems\":[{\"type\":\"null\"},{\"$ref\":\"#/prefixItems/0\"}],\"items\":false}",
       {"[null,null]"},
       {"[null,1]"}},
  };
  test::check_cases(cases, Grammar::from_json_schema);
}

TEST_CASE("schemas that are refused say what and where") {
  std::vector<test::RefusedCase> cases = {
      {"", Code::kInvalidArgument, "not valid JSON"},
      {"{", Code::kInvalidArgument, "not valid JSON"},
      {"[]", Code::kInvalidArgument, "object, true or false"},
      {"1", Code::kInvalidArgument, "object, true or false"},
      {"false", Code::kInvalidArgument, "no text"},
      {"{\"properties\":{\"a\":{\"items\":3}}}", Code::kInvalidArgument, "properties.a.items"},
      {"{\"type\":\"text\"}", Code::kInvalidArgument, "type text"},
      {"{\"enum\":[]}", Code::kInvalidArgument, "enum"},
      {"{\"type\":\"string\",\"enum\":[1]}", Code::kInvalidArgument, "no text"},
      {"{\"minLength\":-1}", Code::kInvalidArgument, "minLength"},
      {"{\"minLength\":1.5}", Code::kInvalidArgument, "minLength"},
      {"{\"maxLength\":10000000}", Code::kBudget, "maxLength"},
      {"{\"$ref\":\"#/$defs/none\"}", Code::kInvalidArgument, "leads nowhere"},
      {"{\"$ref\":\"https://example.com/s.json\"}", Code::kUnsupported, "https://example.com"},
      {"{\"$ref\":\"#anchor\"}", Code::kUnsupported, "#anchor"},
      {"{\"$ref\":\"#\"}", Code::kInvalidArgument, "no text"},
      {"{\"anyOf\":[{\"$ref\":\"#\"},{\"type\":\"null\"}]}", Code::kUnsupported, "left recursion"},
      {"{\"allOf\":[{\"$ref\":\"#\"}]}", Code::kUnsupported, "$ref and allOf"},
      {"{\"pattern\":\"a(?=b)\"}", Code::kUnsupported, "pattern: regex: at byte 1: look-ahead"},
      {"{\"properties\":{\"u\":{\"format\":\"iri\"}}}", Code::kUnsupported, "properties.u: format \"iri\""},
      {"{\"type\":\"number\",\"multipleOf\":3}", Code::kUnsupported, "multipleOf 3"},
      {"{\"type\":\"array\",\"uniqueItems\":true}", Code::kUnsupported, "uniqueItems"},
      {"{\"oneOf\":[{\"type\":\"integer\"},{\"type\":\"number\"}]}", Code::kUnsupported, "oneOf"},
      {"{\"oneOf\":[{\"properties\":{\"a\":{}}},{\"properties\":{\"b\":{}}}]}", Code::kUnsupported,
       "alternatives 0 and 1"},
      {"{\"anyOf\":[{}],\"oneOf\":[{}]}", Code::kUnsupported, "oneOf beside anyOf"},
      {"{\"enum\":[\"a\"],\"minLength\":3}", Code::kUnsupported, "minLength"},
      {"{\"allOf\":[{\"pattern\":\"a\"},{\"pattern\":\"b\"}]}", Code::kUnsupported, "pattern"},
      {"{\"allOf\":[{\"additionalProperties\":false},{\"properties\":{\"a\":{}}}]}", Code::kUnsupported,
       "additionalProperties"},
      {"{\"properties\":{\"a\":{}},\"allOf\":[{\"unevaluatedProperties\":false}]}", Code::kUnsupported,
       "additionalProperties of one schema concerns \"a\""},
      {"{\"anyOf\":[{\"properties\":{\"a\":{}},\"unevaluatedProperties\":false}],\"properties\":{\"b\":{}}}",
       Code::kUnsupported, "additionalProperties of one schema concerns \"b\""},
      {"{\"allOf\":[{\"prefixItems\":[{\"minimum\":3}]}],\"items\":{\"minimum\":5}}", Code::kUnsupported, "items"},
      {"{\"minimum\":1e300}", Code::kUnsupported, "bound"},
      {repeated("[", 100000), Code::kBudget, "nested"},
      {repeated("{\"items\":", 5000) + "{}" + repeated("}", 5000), Code::kBudget, "nested"},
  };
  for (const char* keyword : {"not", "if", "then", "else", "dependentSchemas", "dependentRequired", "dependencies",
                              "contains", "minContains", "maxContains", "unevaluatedItems", "$dynamicRef",
                              "$recursiveRef", "$dynamicAnchor", "discriminator", "anythingElse"})
    cases.push_back({fmt::format("{{\"type\":\"object\",\"properties\":{{\"a\":{{\"{}\":{{}}}}}}}}", keyword),
                     Code::kUnsupported, keyword});
  test::check_refused(cases, Grammar::from_json_schema);
  for (const test::RefusedCase& c : cases)
    if (c.source.starts_with("{\"type\":\"object\",\"properties\":{\"a\":"))
      CHECK(Grammar::from_json_schema(c.source).status().message().find(
                fmt::format("properties.a: keyword \"{}\"", c.word)) != std::string::npos);
}

}  // namespace
}  // namespace kette
