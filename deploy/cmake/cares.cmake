# SPDX-License-Identifier: MIT
# COIL_HAS_CARES: whether the resolver (coil/resolver.h) asks name servers by itself, through c-ares.
# COIL_CARES_LIBRARY is then the library to link, else nothing.
set(COIL_HAS_CARES OFF)
set(COIL_CARES_LIBRARY)
if(COIL_CARES)
  pkg_check_modules(cares QUIET libcares>=1.18)
  if(cares_FOUND)
    set(COIL_HAS_CARES ON)
    set(COIL_CARES_LIBRARY cares)
  else()
    message(STATUS "c-ares 1.18 not found (libc-ares-dev): names by getaddrinfo(3), no SRV")
  endif()
else()
  message(STATUS "COIL_CARES is off: names by getaddrinfo(3), no SRV")
endif()
