/**
 * What a service says about itself: BaseService, as facebook/fb303 has it in fb303_core.thrift. The
 * names, numbers and types are those on the wire. Ten of the methods are those of FacebookService
 * (fb303.thrift).
 *
 * Coil serves it without this file (coil/fb303_service.h); this is for clients to be generated.
 */
namespace c fb303_core
namespace cpp facebook.fb303
namespace py fb303_core

enum fb303_status {
  DEAD = 0,
  STARTING = 1,
  ALIVE = 2,
  STOPPING = 3,
  STOPPED = 4,
  WARNING = 5
}

service BaseService {
  /** How it is, and in words why. */
  fb303_status getStatus()
  string getStatusDetails()

  /** Who answers. */
  string getName()
  string getVersion()

  /** Numbers: all; those whose whole name matches a pattern; those named, as far as they are there. */
  map<string, i64> getCounters()
  map<string, i64> getRegexCounters(1: string regex)
  map<string, i64> getSelectedCounters(1: list<string> keys)
  i64 getCounter(1: string key)

  /** The same with texts. */
  map<string, string> getExportedValues()
  map<string, string> getSelectedExportedValues(1: list<string> keys)
  map<string, string> getRegexExportedValues(1: string regex)
  string getExportedValue(1: string key)

  /** Texts that clients may set. */
  void setOption(1: string key, 2: string value)
  string getOption(1: string key)
  map<string, string> getOptions()

  /** When it was started: seconds since 1970. */
  i64 aliveSince()
}
