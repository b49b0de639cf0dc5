// SPDX-License-Identifier: MIT
/*
 * ThriftTest by Apache Thrift's Node library, as a client or as a server:
 *
 *     node peer.js client|server MODULES GENERATED HOST PORT|PATH TRANSPORT PROTOCOL [multiplexed]
 *          [ssl=DIRECTORY]
 *
 * MODULES has the library in it, GENERATED the code of thrift_test.thrift. TRANSPORT is buffered,
 * framed, http or header, PROTOCOL binary, compact, json or header. A client calls everything once
 * and exits with 0 if all results are right. A server says its port and serves until it is killed.
 */
'use strict';

const [role, modules, generated, host, place, transportName, protocolName, ...words] =
    process.argv.slice(2);
module.paths.unshift(modules);

const assert = require('assert');
const fs = require('fs');
const Int64 = require('node-int64');
const thrift = require('thrift');

const ThriftTest = require(`${generated}/ThriftTest.js`);
const SecondService = require(`${generated}/SecondService.js`);
const types = require(`${generated}/thrift_test_types.js`);

const multiplexed = words.includes('multiplexed');
const keys = (words.find((word) => word.startsWith('ssl=')) || '').slice(4);
const isPath = !/^\d+$/.test(place);

const protocol = {
    binary: thrift.TBinaryProtocol,
    compact: thrift.TCompactProtocol,
    json: thrift.TJSONProtocol,
    header: thrift.THeaderProtocol,
}[protocolName];
const transport = {
    buffered: thrift.TBufferedTransport,
    http: thrift.TBufferedTransport,
    framed: thrift.TFramedTransport,
    header: thrift.THeaderTransport || thrift.TFramedTransport,
}[transportName];

// ------------------------------------------------------------------------------------- client --

/* Integers of 64 bits, wherever they are, as decimal text: they come as objects of two kinds. */
function plain(value) {
    if (value instanceof Int64)
        return BigInt.asIntN(64, BigInt('0x' + value.toOctetString())).toString();
    if (typeof value === 'bigint' || typeof value === 'number')
        return value.toString();
    if (Buffer.isBuffer(value))
        return value.toString('hex');
    if (Array.isArray(value))
        return value.map(plain);
    if (value !== null && typeof value === 'object') {
        const names = Object.keys(value).filter((name) => value[name] !== null);
        return Object.fromEntries(names.map((name) => [name, plain(value[name])]));
    }
    return value;
}

function expect(found, wanted, what) {
    assert.deepStrictEqual(plain(found), plain(wanted), what);
}

async function raised(call) {
    try {
        await call();
    } catch (error) {
        return error;
    }
    return null;
}

async function callEchoes(client) {
    const echo = async (name, thing) => expect(await client[name](thing), thing, name);
    for (const text of ['', 'Test', 'quote " backslash \\ slash / \b\f\n\r\t', ']] "]] \\" \\" \\\\ /',
        'Ελληνικά, עברית, العربية, 中文, 日本語, 한국어, 😀🎉𝄞'])
        await echo('testString', text);
    await echo('testBool', true);
    await echo('testBool', false);
    for (const number of [0, 1, -1, 127, -128])
        await echo('testByte', number);
    for (const number of [0, 1, -1, 2147483647, -2147483648])
        await echo('testI32', number);
    for (const number of [0, 1, -1, 4294967296, -34359738481, 9007199254740991])
        await echo('testI64', new Int64(number));
    await echo('testTypedef', new Int64(-1));
    for (const number of [0, -1, -5.2098523, -0.000341012439638598279, 1e307, 1e-292, 0.1])
        await echo('testDouble', number);
    for (const size of [0, 1, 2, 4, 6, 16, 33, 255, 1024, 65537, 131072])
        await echo('testBinary', Buffer.from(Array.from({length: size}, (_, i) => i & 255)));
    await echo('testEnum', types.Numberz.FIVE);
    const some = new types.Xtruct({string_thing: 'Zero', byte_thing: 1, i32_thing: -3, i64_thing: 5});
    await echo('testStruct', some);
    await echo('testNest', new types.Xtruct2({byte_thing: 1, struct_thing: some, i32_thing: 5}));
    await echo('testMap', {0: -10, 1: -9, 2: -8});
    await echo('testStringMap', {a: '2', b: 'blah', some: 'thing'});
    await echo('testSet', [8, 1, 42]);
    await echo('testList', [1, 4, 9, -42]);
    await echo('testList', []);
}

async function callOthers(client) {
    await client.testVoid();
    expect(await client.testMapMap(1), {
        4: {1: 1, 2: 2, 3: 3, 4: 4}, [-4]: {[-4]: -4, [-3]: -3, [-2]: -2, [-1]: -1},
    }, 'testMapMap');
    const argument = new types.Insanity({
        userMap: {[types.Numberz.FIVE]: 5, [types.Numberz.EIGHT]: 8},
        xtructs: [new types.Xtruct({string_thing: 'Hello2', byte_thing: 2, i32_thing: 2, i64_thing: 2})],
    });
    const insane = plain(await client.testInsanity(argument));
    expect(insane[1], {2: argument, 3: argument}, 'testInsanity');
    expect(Object.keys(insane[2]), ['6'], 'testInsanity: SIX');
    expect(await client.testMulti(42, 4242, 424242, {1: 'abc'}, types.Numberz.FIVE, 0xf0f0f0),
        {string_thing: 'Hello2', byte_thing: 42, i32_thing: 4242, i64_thing: 424242}, 'testMulti');
}

async function callExceptions(client) {
    let error = await raised(() => client.testException('Xception'));
    expect([error.errorCode, error.message], [1001, 'Xception'], 'testException');
    error = await raised(() => client.testException('TException'));
    assert(error !== null, 'testException: TException');
    await client.testException('success');
    error = await raised(() => client.testMultiException('Xception', '1'));
    expect([error.errorCode, error.message], [1001, 'This is an Xception'], 'testMultiException');
    error = await raised(() => client.testMultiException('Xception2', '2'));
    expect([error.errorCode, error.struct_thing.string_thing], [2002, 'This is an Xception2'],
        'testMultiException: Xception2');
    expect((await client.testMultiException('success', '3')).string_thing, '3', 'testMultiException');
}

function connect() {
    const options = {transport, protocol};
    if (keys !== '') {
        options.ca = fs.readFileSync(`${keys}/CA.pem`);
        options.cert = fs.readFileSync(`${keys}/client.crt`);
        options.key = fs.readFileSync(`${keys}/client.key`);
    }
    if (transportName === 'http') {
        const more = {path: '/service', https: keys !== '', nodeOptions: {ca: options.ca}};
        return thrift.createHttpConnection(host, Number(place), {...options, ...more});
    }
    if (isPath)
        return thrift.createUDSConnection(place, options);
    return keys === '' ? thrift.createConnection(host, Number(place), options) :
        thrift.createSSLConnection(host, Number(place), options);
}

async function callEverything() {
    const connection = connect();
    connection.on('error', (error) => {
        console.error(`peer.js: ${error}`);
        process.exit(1);
    });
    const create = transportName === 'http' ? thrift.createHttpClient : thrift.createClient;
    const multiplexer = new thrift.Multiplexer();
    const client = multiplexed ? multiplexer.createClient('ThriftTest', ThriftTest, connection) :
        create(ThriftTest, connection);
    await callEchoes(client);
    await callOthers(client);
    await callExceptions(client);
    client.testOneway(0);
    expect(await client.testI32(-1), -1, 'testI32 after testOneway');
    if (multiplexed) {
        const second = multiplexer.createClient('SecondService', SecondService, connection);
        expect(await second.secondtestString('2nd'), 'testString("2nd")', 'secondtestString');
    }
    process.exit(0);
}

// ------------------------------------------------------------------------------------- server --

/* One with fewer parameters than its method would be asked to call back; what raises is a promise. */
const echo = (thing) => thing;
const handler = {
    testVoid: () => {},
    testMapMap: (hello) => ({
        4: {1: 1, 2: 2, 3: 3, 4: 4}, [-4]: {[-4]: -4, [-3]: -3, [-2]: -2, [-1]: -1},
    }),
    testInsanity: (argument) => ({
        1: {[types.Numberz.TWO]: argument, [types.Numberz.THREE]: argument},
        2: {[types.Numberz.SIX]: new types.Insanity()},
    }),
    testMulti: (arg0, arg1, arg2, arg3, arg4, arg5) => new types.Xtruct(
        {string_thing: 'Hello2', byte_thing: arg0, i32_thing: arg1, i64_thing: arg2}),
    testException: async (arg) => {
        if (arg === 'Xception')
            throw new types.Xception({errorCode: 1001, message: arg});
        if (arg === 'TException')
            throw new thrift.Thrift.TException('what nobody has declared');
    },
    testMultiException: async (arg0, arg1) => {
        if (arg0 === 'Xception')
            throw new types.Xception({errorCode: 1001, message: 'This is an Xception'});
        if (arg0 === 'Xception2') {
            throw new types.Xception2({errorCode: 2002,
                struct_thing: new types.Xtruct({string_thing: 'This is an Xception2'})});
        }
        return new types.Xtruct({string_thing: arg1});
    },
    testOneway: (seconds) => {},
};
for (const name of ['String', 'Bool', 'Byte', 'I32', 'I64', 'Double', 'Binary', 'Struct', 'Nest', 'Map',
    'StringMap', 'Set', 'List', 'Enum', 'Typedef'])
    handler[`test${name}`] = echo;

function serve() {
    const options = {transport, protocol};
    if (keys !== '') {
        options.tls = {cert: fs.readFileSync(`${keys}/server.crt`),
            key: fs.readFileSync(`${keys}/server.key`)};
    }
    let server;
    if (transportName === 'http') {
        server = thrift.createWebServer({...options,
            services: {'/service': {processor: ThriftTest, handler, transport, protocol}}});
    } else if (multiplexed) {
        const processor = new thrift.MultiplexedProcessor();
        processor.registerProcessor('ThriftTest', new ThriftTest.Processor(handler));
        processor.registerProcessor('SecondService', new SecondService.Processor(
            {secondtestString: (thing) => `testString("${thing}")`}));
        server = thrift.createMultiplexServer(processor, options);
    } else {
        server = thrift.createServer(ThriftTest, handler, options);
    }
    server.listen(isPath ? place : Number(place), isPath ? undefined : host,
        () => console.log(isPath ? 0 : server.address().port));
}

if (role === 'server') {
    serve();
} else {
    callEverything().catch((error) => {
        console.error(`peer.js: ${error.stack}`);
        process.exit(1);
    });
}
