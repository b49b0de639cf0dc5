/* SPDX-License-Identifier: MIT */
/* What most tests include. With COIL_TESTS_PCH it is parsed once for all of them. */
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <thread>
#include <vector>
