// What the LSTM and the frozen LSTM hand to Python alike.
#pragma once

#include "../cells/lstm_kernel.h"
#include "bind.h"

namespace lb {

/// Threads for an LSTM's call. Fewer rows than threads share hidden units, if a step is worth a
/// meeting.
int lstm_team_size(const BatchOrder& order, int I, int H, double passes);

}  // namespace lb
