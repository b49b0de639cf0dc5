/* SPDX-License-Identifier: MIT */
/*
 * leak_check.h - every test leaves the process as it found it.
 *
 * A test fails if after it, fixture included, the process has not the same open descriptors
 * (numbers and what they refer to), as many children, running or not yet waited for, and as many
 * live tasks and pending operations as before. The last two are asked of the library if it is
 * linked in. What a suite sets up once (SetUpTestSuite) is no leak.
 *
 * The main() of coil_test_main installs it; tests do nothing.
 */
#ifndef COIL_TESTS_LEAK_CHECK_H
#define COIL_TESTS_LEAK_CHECK_H

/* Call once, after InitGoogleTest. */
void install_leak_check();

#endif
