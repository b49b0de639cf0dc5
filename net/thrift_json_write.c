/* SPDX-License-Identifier: MIT */
#include "thrift_private.h"
const thrift_writing thrift_json_writing;
