#!/usr/bin/env node
// SPDX-License-Identifier: MIT

// Node, asked what perf/micro asks Coil where the question makes sense there, with the arguments of
// perf/micro/measure.h. Its tasks are promises: to give way is to await what is there already.
'use strict';

const childProcess = require('child_process');
const fs = require('fs');
const os = require('os');
const path = require('path');

const MANY = 1000000;
const ENOUGH_NS = 20e6;
const RUNS = 3;
const SLOW = 1000000; // From so many on, one run.
const PAGE_BYTES = 4096;
const PAGES = 16384;
const CHILD = path.join(__dirname, '..', 'helper', 'exit_zero');

function now() {
    return Number(process.hrtime.bigint());
}

function random(below) {
    return Math.floor(Math.random() * below);
}

function nothing() {
}

async function yieldOften(count) {
    for (let i = 0; i < count; i++)
        await null;
}

async function yield_(count) {
    const start = now();
    await Promise.all([yieldOften(count / 2), yieldOften(count / 2)]);
    return now() - start;
}

function armMany(count) {
    const timers = new Array(count);
    for (let i = 0; i < count; i++)
        timers[i] = setTimeout(nothing, 1000000 + random(60000));
    return timers;
}

async function timer1m(count) {
    const live = armMany(MANY);
    const start = now();
    for (let i = 0; i < count; i++)
        clearTimeout(setTimeout(nothing, 1030000));
    const spent = now() - start;
    live.forEach(clearTimeout);
    return spent;
}

async function timers1m(count) {
    const start = now();
    armMany(count).forEach(clearTimeout);
    return now() - start;
}

function cpuNow() {
    const spent = process.cpuUsage();
    return (spent.user + spent.system) * 1000;
}

// Armed over the next 100 ms, until all have fired; CPU time.
function timerFire1m(count) {
    return new Promise((resolve) => {
        let left = count;
        const start = cpuNow();
        function fired() {
            if (--left === 0)
                resolve(cpuNow() - start);
        }
        for (let i = 0; i < count; i++)
            setTimeout(fired, 1 + random(100));
    });
}

let pagesFd = -1;

function openPages() {
    if (pagesFd >= 0)
        return pagesFd;
    const name = path.join(os.tmpdir(), `perf_pages_${process.pid}`);
    pagesFd = fs.openSync(name, 'wx+');
    fs.unlinkSync(name);
    fs.writeSync(pagesFd, Buffer.alloc(PAGE_BYTES * PAGES));
    return pagesFd;
}

function readPages(fd, count, done) {
    const page = Buffer.alloc(PAGE_BYTES);
    function next() {
        if (count-- === 0) {
            done();
            return;
        }
        fs.read(fd, page, 0, PAGE_BYTES, random(PAGES) * PAGE_BYTES, (error, got) => {
            if (error || got !== PAGE_BYTES)
                throw error || new Error('short read');
            next();
        });
    }
    next();
}

async function fileRead(atOnce, count) {
    const fd = openPages();
    const start = now();
    await Promise.all(Array.from({length: atOnce},
            () => new Promise((done) => readPages(fd, count / atOnce, done))));
    return now() - start;
}

function runChild() {
    return new Promise((resolve, reject) => {
        const child = childProcess.spawn(CHILD, [], {stdio: 'inherit'});
        child.on('error', reject);
        child.on('exit', (status) => status === 0 ? resolve() : reject(new Error('child failed')));
    });
}

async function spawnChildren(atOnce, count) {
    const start = now();
    for (let done = 0; done < count; done += atOnce)
        await Promise.all(Array.from({length: atOnce}, runChild));
    return now() - start;
}

// By name: the function, and how often (0: as often as takes ENOUGH_NS).
const SUBJECTS = {
    yield: [yield_, 0],
    timer_1m: [timer1m, MANY],
    timers_1m: [timers1m, MANY],
    timer_fire_1m: [timerFire1m, MANY],
    file_read_4k: [(count) => fileRead(1, count), 4096],
    file_read_4k_32: [(count) => fileRead(32, count), 4096],
    spawn_child: [(count) => spawnChildren(1, count), 100],
    spawn_children_50: [(count) => spawnChildren(50, count), 100],
};

async function measure(bench) {
    const [run, fixed] = SUBJECTS[bench];
    let count = fixed || 256;
    let best = await run(count);
    while (!fixed && best < ENOUGH_NS) {
        count *= 2;
        best = await run(count);
    }
    for (let i = 1; i < RUNS && count < SLOW; i++)
        best = Math.min(best, await run(count));
    console.log(JSON.stringify({bench, impl: 'node', n: count, ns: Number((best / count).toFixed(2))}));
}

async function main() {
    const [bench, impl] = process.argv.slice(2);
    if (bench === '--list') {
        Object.keys(SUBJECTS).forEach((name) => console.log(`${name} node`));
    } else if (bench === undefined) {
        for (const name of Object.keys(SUBJECTS))
            await measure(name);
    } else if (impl === 'node' && bench in SUBJECTS) {
        await measure(bench);
    } else {
        console.error('usage: node [--list | BENCH node]');
        process.exitCode = 2;
    }
    setImmediate(() => process.exit());
}

main();
