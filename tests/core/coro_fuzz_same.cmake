# SPDX-License-Identifier: MIT
# Two builds of the same coroutines do the same: their digests are equal.
foreach(build ONE OTHER)
  execute_process(COMMAND ${${build}} --seed=500 --rounds=30 --tasks=60
    OUTPUT_VARIABLE ${build}_says COMMAND_ERROR_IS_FATAL ANY)
endforeach()
if(NOT ONE_says STREQUAL OTHER_says)
  message(FATAL_ERROR "one:   ${ONE_says}other: ${OTHER_says}")
endif()
