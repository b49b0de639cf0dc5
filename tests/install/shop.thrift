namespace c shop

include "fb303.thrift"

exception SoldOut {
  1: string item
}

service Shop extends fb303.FacebookService {
  i32 buy(1: string item) throws (1: SoldOut gone)
}
