/**
 * What a service says about itself: FacebookService, as Apache Thrift has it in contrib/fb303. The
 * names, numbers and types are those on the wire.
 *
 * Coil serves it without this file (coil/fb303_service.h); this is for clients to be generated.
 */
namespace c fb303
namespace cpp facebook.fb303
namespace py fb303

enum fb_status {
  DEAD = 0,
  STARTING = 1,
  ALIVE = 2,
  STOPPING = 3,
  STOPPED = 4,
  WARNING = 5
}

service FacebookService {
  /** Who answers. */
  string getName()
  string getVersion()

  /** How it is, and in words why. */
  fb_status getStatus()
  string getStatusDetails()

  /** All numbers, or one: 0 if there is none of that name. */
  map<string, i64> getCounters()
  i64 getCounter(1: string key)

  /** Texts that clients may set. */
  void setOption(1: string key, 2: string value)
  string getOption(1: string key)
  map<string, string> getOptions()

  /** Of so many seconds. Coil has none, and answers with an empty text. */
  string getCpuProfile(1: i32 profileDurationInSec)

  /** When it was started: seconds since 1970. */
  i64 aliveSince()

  /** Requests, without an answer. Refused unless the service says otherwise. */
  oneway void reinitialize()
  oneway void shutdown()
}
