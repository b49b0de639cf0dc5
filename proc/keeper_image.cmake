# SPDX-License-Identifier: MIT
# cmake -DFROM=<file> -DTO=<file> -P: the bytes of a file as the initialiser of an array.
file(READ ${FROM} bytes HEX)
string(REGEX REPLACE "(..)(..)(..)(..)(..)(..)(..)(..)" "0x\\1,0x\\2,0x\\3,0x\\4,0x\\5,0x\\6,0x\\7,0x\\8,\n"
  bytes "${bytes}")
string(REGEX REPLACE "\n(([0-9a-f][0-9a-f])+)$" "\n" last "${bytes}")
string(REGEX MATCH "[0-9a-f]+$" rest "${bytes}")
string(REGEX REPLACE "(..)" "0x\\1," rest "${rest}")
file(WRITE ${TO} "${last}${rest}\n")
