include "nowhere.thrift"
// 1:9 cannot find 'nowhere.thrift' beside this file or in the search path
include "names.thrift"
// 3:9 includes itself, by way of this line
