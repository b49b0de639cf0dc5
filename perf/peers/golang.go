// SPDX-License-Identifier: MIT

// Go, asked what perf/micro asks Coil. Takes the arguments that perf/micro/measure.h describes. On
// one core (perf/compare pins it) the scheduler has one P; only the round trip between threads has two.
package main

import (
	"encoding/json"
	"fmt"
	"math/rand"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
	"unsafe"
)

const (
	many     = 1000000
	hot      = 64
	enoughNs = 20e6
	runs     = 4

	pageBytes = 4096
	pages     = 16384
)

func since(start time.Time) float64 {
	return float64(time.Since(start).Nanoseconds())
}

func lock(count int) float64 {
	var mutex sync.Mutex
	start := time.Now()
	for i := 0; i < count; i++ {
		mutex.Lock()
		mutex.Unlock()
	}
	return since(start)
}

// A buffered channel is Go's semaphore.
func semaphore(count int) float64 {
	permits := make(chan struct{}, 1)
	start := time.Now()
	for i := 0; i < count; i++ {
		permits <- struct{}{}
		<-permits
	}
	return since(start)
}

// A channel that is closed is Go's event; it cannot be cleared, so each has one of its own.
func event(count int) float64 {
	start := time.Now()
	for i := 0; i < count; i++ {
		happened := make(chan struct{})
		close(happened)
		<-happened
	}
	return since(start)
}

func queue(count int) float64 {
	items := make(chan int64, 64)
	start := time.Now()
	for i := 0; i < count; i++ {
		items <- int64(i)
		<-items
	}
	return since(start)
}

func passItems(items chan int64, count int) float64 {
	start := time.Now()
	go func() {
		for i := 0; i < count; i++ {
			items <- int64(i)
		}
	}()
	for i := 0; i < count; i++ {
		<-items
	}
	return since(start)
}

func queue64Slots(count int) float64 {
	return passItems(make(chan int64, 64), count)
}

func queue1Slot(count int) float64 {
	return passItems(make(chan int64, 1), count)
}

func answer(there, back chan int64, count int) {
	for i := 0; i < count; i++ {
		back <- <-there
	}
}

func channelPingPong(count int) float64 {
	there, back := make(chan int64), make(chan int64)
	start := time.Now()
	go answer(there, back, count)
	for i := 0; i < count; i++ {
		there <- int64(i)
		<-back
	}
	return since(start)
}

func yield(count int) float64 {
	var all sync.WaitGroup
	start := time.Now()
	for k := 0; k < 2; k++ {
		all.Add(1)
		go func() {
			for i := 0; i < count/2; i++ {
				runtime.Gosched()
			}
			all.Done()
		}()
	}
	all.Wait()
	return since(start)
}

func spawnJoin(count int) float64 {
	var all sync.WaitGroup
	start := time.Now()
	for i := 0; i < count; i++ {
		all.Add(1)
		go all.Done()
		all.Wait()
	}
	return since(start)
}

// With one P the goroutines queue up behind this one until it waits: all of them are alive at once.
func spawnJoinAll(count int) float64 {
	var all sync.WaitGroup
	start := time.Now()
	all.Add(count)
	for i := 0; i < count; i++ {
		go all.Done()
	}
	all.Wait()
	return since(start)
}

func ahead() time.Duration {
	return time.Duration(1e12 + rand.Int63n(60e9))
}

func armMany(count int) []*time.Timer {
	timers := make([]*time.Timer, count)
	for i := range timers {
		timers[i] = time.AfterFunc(ahead(), func() {})
	}
	return timers
}

func stopAll(timers []*time.Timer) {
	for _, timer := range timers {
		timer.Stop()
	}
}

// Timers that exist, as Coil's do: Reset() arms, Stop() disarms.
func timer1m(count int) float64 {
	timers, mine := armMany(many), armMany(hot)
	stopAll(mine)
	start := time.Now()
	for i := 0; i < count; i++ {
		mine[i%hot].Reset(1030 * time.Second)
		mine[i%hot].Stop()
	}
	spent := since(start)
	stopAll(timers)
	return spent
}

func timers1m(count int) float64 {
	timers := armMany(count)
	stopAll(timers)
	start := time.Now()
	for _, timer := range timers {
		timer.Reset(ahead())
	}
	stopAll(timers)
	return since(start)
}

func cpuNow() float64 {
	var usage syscall.Rusage
	must(syscall.Getrusage(syscall.RUSAGE_SELF, &usage))
	return float64(usage.Utime.Nano() + usage.Stime.Nano())
}

// Armed over the next 100 ms, until all have fired; CPU time. Each has a goroutine when it fires.
func timerFire1m(count int) float64 {
	var left = int64(count)
	over := make(chan struct{})
	fired := func() {
		if atomic.AddInt64(&left, -1) == 0 {
			close(over)
		}
	}
	start := cpuNow()
	for i := 0; i < count; i++ {
		time.AfterFunc(time.Duration(rand.Int63n(100e6)), fired)
	}
	<-over
	return cpuNow() - start
}

func must(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func readPages(file *os.File, seed int64, count int) {
	random := rand.New(rand.NewSource(seed))
	page := make([]byte, pageBytes)
	for i := 0; i < count; i++ {
		_, err := file.ReadAt(page, random.Int63n(pages)*pageBytes)
		must(err)
	}
}

var pagesFile *os.File

func openPages() *os.File {
	var err error
	if pagesFile == nil {
		pagesFile, err = os.CreateTemp("", "perf_pages_")
		must(err)
		must(os.Remove(pagesFile.Name()))
		_, err = pagesFile.Write(make([]byte, pages*pageBytes))
		must(err)
	}
	return pagesFile
}

func readFile(atOnce, count int) float64 {
	var all sync.WaitGroup
	file := openPages()
	start := time.Now()
	for i := 0; i < atOnce; i++ {
		all.Add(1)
		go func(seed int64) {
			readPages(file, seed, count/atOnce)
			all.Done()
		}(int64(i))
	}
	all.Wait()
	return since(start)
}

func fileRead4k(count int) float64 {
	return readFile(1, count)
}

func fileRead4k32(count int) float64 {
	return readFile(32, count)
}

func spawnChildren(atOnce, count int) float64 {
	program, err := os.Executable()
	must(err)
	path := filepath.Join(filepath.Dir(program), "..", "helper", "exit_zero")
	children := make([]*exec.Cmd, atOnce)
	start := time.Now()
	for done := 0; done < count; done += atOnce {
		for i := range children {
			children[i] = exec.Command(path)
			children[i].Stdin, children[i].Stdout, children[i].Stderr = os.Stdin, os.Stdout, os.Stderr
			must(children[i].Start())
		}
		for _, child := range children {
			must(child.Wait())
		}
	}
	return since(start)
}

func spawnChild(count int) float64 {
	return spawnChildren(1, count)
}

func spawnChildren50(count int) float64 {
	return spawnChildren(50, count)
}

func pin(core int) {
	var cores [16]uint64
	runtime.LockOSThread()
	cores[0] = 1 << core
	_, _, _ = syscall.RawSyscall(syscall.SYS_SCHED_SETAFFINITY, 0, unsafe.Sizeof(cores), uintptr(unsafe.Pointer(&cores)))
}

// Two goroutines, each locked to a thread, each thread on a core of its own.
func postRoundTrip(count int) float64 {
	there, back := make(chan int64), make(chan int64)
	spent := make(chan float64)
	go func() {
		pin(1)
		answer(there, back, count)
	}()
	go func() {
		pin(0)
		start := time.Now()
		for i := 0; i < count; i++ {
			there <- int64(i)
			<-back
		}
		spent <- since(start)
	}()
	return <-spent
}

func residentBytes() float64 {
	var total, resident int64
	text, _ := os.ReadFile("/proc/self/statm")
	_, _ = fmt.Sscan(string(text), &total, &resident)
	return float64(resident) * float64(os.Getpagesize())
}

func taskResident(count int) float64 {
	over := make(chan struct{})
	var all, parked sync.WaitGroup
	runtime.GC()
	before := residentBytes()
	all.Add(count)
	parked.Add(count)
	for i := 0; i < count; i++ {
		go func() {
			parked.Done()
			<-over
			all.Done()
		}()
	}
	parked.Wait()
	grown := residentBytes() - before
	close(over)
	all.Wait()
	return grown
}

type subject struct {
	bench string
	run   func(count int) float64
	count int // 0: as often as takes enoughNs
	unit  string
}

var subjects = []subject{
	{"lock", lock, 0, "ns"},
	{"semaphore", semaphore, 0, "ns"},
	{"event", event, 0, "ns"},
	{"queue", queue, 0, "ns"},
	{"queue_64_slots", queue64Slots, 0, "ns"},
	{"queue_1_slot", queue1Slot, 0, "ns"},
	{"channel_ping_pong", channelPingPong, 0, "ns"},
	{"yield", yield, 0, "ns"},
	{"spawn_join", spawnJoin, 0, "ns"},
	{"spawn_join_all", spawnJoinAll, many, "ns"},
	{"timer_1m", timer1m, many, "ns"},
	{"timers_1m", timers1m, many, "ns"},
	{"timer_fire_1m", timerFire1m, many, "ns"},
	{"file_read_4k", fileRead4k, 16384, "ns"},
	{"file_read_4k_32", fileRead4k32, 16384, "ns"},
	{"spawn_child", spawnChild, 300, "ns"},
	{"spawn_children_50", spawnChildren50, 300, "ns"},
	{"post_round_trip", postRoundTrip, 4096, "ns"},
	{"task_resident", taskResident, 200000, "bytes"},
}

func measure(s subject) {
	count := s.count
	if count == 0 {
		count = 256
	}
	best := s.run(count)
	for ; s.count == 0 && best < enoughNs; best = s.run(count) {
		count *= 2
	}
	for i := 1; i < runs && s.unit == "ns"; i++ {
		if total := s.run(count); total < best {
			best = total
		}
	}
	_ = json.NewEncoder(os.Stdout).Encode(map[string]interface{}{
		"bench": s.bench, "impl": "go", "n": count, s.unit: best / float64(count)})
}

func main() {
	arguments := strings.Join(os.Args[1:], " ")
	found := false
	for _, s := range subjects {
		if arguments == "--list" {
			fmt.Println(s.bench, "go")
		} else if arguments == "" || arguments == s.bench+" go" {
			measure(s)
		} else {
			continue
		}
		found = true
	}
	if !found {
		fmt.Fprintf(os.Stderr, "usage: %s [--list | BENCH go]\n", os.Args[0])
		os.Exit(2)
	}
}
