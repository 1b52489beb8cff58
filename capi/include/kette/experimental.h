/* Functions that are not part of the ABI yet: they may change or go with any version of the library, so they are not
 * exported but asked for by their name and the version they came with:
 *
 *   kette_session_profile_fn profile = (kette_session_profile_fn)kette_get_experimental(KETTE_SESSION_PROFILE);
 *   if (profile != NULL) profile(session, &json, NULL); */
#ifndef KETTE_EXPERIMENTAL_H
#define KETTE_EXPERIMENTAL_H
#include "kette/kette.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Measure where the time of the session's passes goes from here on, anew if that was on (on: 1), or stop (0). What is
 * computed is the same, bit for bit; each stretch of work costs some clock readings more, about 1 % in all. Of the passes
 * that a scheduler shares out among sessions only choosing this one's tokens is measured. [T2] */
#define KETTE_SESSION_SET_PROFILE "session_set_profile_since_0.1"
typedef kette_status (*kette_session_set_profile_fn)(kette_session* session, int32_t on, kette_error** err);

/* What was measured since, as JSON: threads, passes and rows (tokens) that they had, layers, stretches_per_layer (the
 * stretches of work that threads wait for each other at the end of), total, and phases, an array. Of total and of each
 * phase: name, times (entered), wall_us, share (of the total's), parallel_us (of wall_us: in stretches that several
 * threads may take), serial_us (the rest), work_us (of all threads together, in those stretches), waiting_us (of an
 * average thread: parallel_us - work_us / threads), late_us (of waiting_us: before its first task), lost (serial_us and
 * waiting_us as a share of wall_us), stretches, tasks, and where known gb_s (of weights or cache read, each once a stretch) and gop_s (a multiply-add is two), by
 * wall_us. KETTE_E_MISUSE: nothing was ever measured. [T2] */
#define KETTE_SESSION_PROFILE "session_profile_since_0.1"
typedef kette_status (*kette_session_profile_fn)(const kette_session* session, kette_buf** json, kette_error** err);

#ifdef __cplusplus
}
#endif
#endif
