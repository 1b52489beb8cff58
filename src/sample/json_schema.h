// A JSON schema -> rules for the texts that are JSON and valid by it.
//
// What the texts look like. Between any two parts of an object or array, but not before "," and ":", there may be nothing, one
// space, or a new line with up to 64 spaces or 16 tabs: room for indentation, and an end to it. Nothing surrounds the whole.
// Strings may have any of JSON's escapes, in pairs for surrogates; those that a pattern, format or name restricts have
// the necessary ones only. Numbers have at most 64 digits before the point, 32 after it and 4 in the exponent; those with
// bounds have no exponent.
//
// What is understood, of drafts 4 to 2020-12:
//   type, also a list; without one, keywords that belong to a type imply it; nullable
//   properties: written in the order they are listed in, optional ones may be left out; required, also of names not
//     listed, which come next; patternProperties, whose patterns have no names in common with one another or the list;
//     additionalProperties and unevaluatedProperties: false, true or a schema, for the other names, last. Without
//     either an object whose schema lists properties or patterns has no others; else it may have any. propertyNames by
//     pattern, format, length or enum; minProperties and maxProperties where all listed members are required
//   items, prefixItems, additionalItems, minItems, maxItems; uniqueItems where there is at most one item
//   enum, const; anyOf; oneOf, whose alternatives must be told apart by type, by const, enum or by the const or enum of
//     a property that all require; allOf, merged
//   $ref to "#" and "#/...", $defs, definitions; recursion
//   minLength, maxLength (characters), pattern (regex.h, anywhere in the string), format: date, time, date-time, duration,
//     uuid, email, hostname, ipv4, ipv6, uri
//   minimum, maximum, exclusiveMinimum, exclusiveMaximum; multipleOf that is 1 or a power of ten below
// Keywords that restrict nothing are passed over: title, description, default, examples, deprecated, readOnly, writeOnly,
// $schema, $id, id, $comment, $anchor, contentEncoding, contentMediaType, and those beginning with "x-". Every other one is
// kUnsupported, with its place.
#pragma once

#include <memory>
#include <string_view>

#include "base/status.h"
#include "sample/grammar_tables.h"

namespace kette {

Result<std::unique_ptr<const GrammarTables>> compile_json_schema(std::string_view json);

}  // namespace kette
