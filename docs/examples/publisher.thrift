// What publisher.c serves; fb303.thrift is Apache Thrift's, from contrib/fb303.
include "fb303.thrift"

exception PublisherServiceException {
  1: string message
}

service PublisherService extends fb303.FacebookService {
  // How many publishers run now. A data source is a name of letters, digits, '.', '-' and '_'.
  i32 startPublishers(1: list<string> data_sources) throws (1: PublisherServiceException error)
}
