// What perf/thrift has its servers serve.
namespace * rpc

service Rpc {
  void ping()
  string echo(1: string text)
}
