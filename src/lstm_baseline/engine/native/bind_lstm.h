// What the bindings of the LSTM and of the frozen LSTM share.
#pragma once

#include "../cells/lstm_kernel.h"
#include "bind.h"

namespace lb {

/// Threads for an LSTM's call. If there are fewer rows than threads, threads share hidden units,
/// provided that a step is worth a meeting.
int lstm_team_size(const BatchOrder& order, int I, int H, double passes);

}  // namespace lb
