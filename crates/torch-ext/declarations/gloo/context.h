// What c10d's header names of Gloo's context. Nobody here makes one or asks it for anything.
#pragma once

#include <chrono>

namespace gloo {

class Context {
public:
    void setTimeout(std::chrono::milliseconds timeout);
};

}  // namespace gloo
