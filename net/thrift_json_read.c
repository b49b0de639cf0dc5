/* SPDX-License-Identifier: MIT */
#include "thrift_private.h"
const thrift_reading thrift_json_reading;
