package prewarm

import (
	"container/list"
	"context"
	"errors"
	"net/url"
	"strings"
	"sync"

	"github.com/goldcrest/goldcrest/fault"
	"github.com/goldcrest/goldcrest/prewarm/ledger"
)

// slots limits the number of concurrent images: those of earlier lanes first, within a lane in order of arrival.
type slots struct {
	mu      sync.Mutex
	free    int
	busy    int
	waiting map[string]*list.List // of chan struct{}, closed by the grant
}

func newSlots(n int) *slots {
	return &slots{free: n, waiting: map[string]*list.List{ledger.LaneHigh: list.New(), ledger.LaneNormal: list.New(), ledger.LaneLow: list.New()}}
}

// acquire waits for a slot; the caller must release it unless there is an error.
func (s *slots) acquire(ctx context.Context, lane string) error {
	s.mu.Lock()
	if s.free > 0 {
		s.free--
		s.busy++
		s.mu.Unlock()
		return nil
	}
	queue := s.waiting[lane]
	if queue == nil {
		queue = s.waiting[ledger.LaneNormal]
	}
	granted := make(chan struct{})
	place := queue.PushBack(granted)
	s.mu.Unlock()
	select {
	case <-granted:
		return nil
	case <-ctx.Done():
	}
	s.mu.Lock()
	select {
	case <-granted: // granted at the same moment: pass it on
		s.mu.Unlock()
		s.release()
	default:
		queue.Remove(place)
		s.mu.Unlock()
	}
	return ctx.Err()
}

// release gives a slot to the next waiting image.
func (s *slots) release() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, lane := range []string{ledger.LaneHigh, ledger.LaneNormal, ledger.LaneLow} {
		if first := s.waiting[lane].Front(); first != nil {
			close(s.waiting[lane].Remove(first).(chan struct{}))
			return
		}
	}
	s.free++
	s.busy--
}

// working is the number of slots in use.
func (s *slots) working() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.busy
}

// hosts limits the number of concurrent images from one host: half as many after each failure that may be caused by
// overload, one more after each success.
type hosts struct {
	most int
	mu   sync.Mutex
	all  map[string]*host
	idle list.List // names of unused hosts in all, the most recently used at the back
}

// host is a host from which images are fetched, or whose limit is remembered because it failed.
type host struct {
	limit, busy int
	waiting     list.List     // of chan struct{}, closed by the grant
	idle        *list.Element // its place in hosts.idle; nil while in use
}

// maxIdleHosts is the number of unused hosts that are remembered because they failed. Beyond it, the one unused for
// longest is forgotten.
const maxIdleHosts = 1024

func newHosts(most int) *hosts { return &hosts{most: most, all: map[string]*host{}} }

// hostOf returns the host of a source that the variant parser has accepted.
func hostOf(source string) string {
	u, err := url.Parse(source)
	if err != nil {
		return ""
	}
	return strings.ToLower(u.Host)
}

// acquire waits until another image may be fetched from the host; the caller must release it unless there is an error.
func (h *hosts) acquire(ctx context.Context, name string) error {
	h.mu.Lock()
	x := h.all[name]
	if x == nil {
		x = &host{limit: h.most}
		h.all[name] = x
	}
	if x.idle != nil {
		h.idle.Remove(x.idle)
		x.idle = nil
	}
	if x.busy < x.limit && x.waiting.Len() == 0 {
		x.busy++
		h.mu.Unlock()
		return nil
	}
	granted := make(chan struct{})
	place := x.waiting.PushBack(granted)
	h.mu.Unlock()
	select {
	case <-granted:
		return nil
	case <-ctx.Done():
	}
	h.mu.Lock()
	select {
	case <-granted:
		h.mu.Unlock()
		h.release(name, ctx.Err())
	default:
		x.waiting.Remove(place)
		h.mu.Unlock()
	}
	return ctx.Err()
}

// release reports how the host behaved: failed is the failure of its image, nil for success. A failure that lies in a
// single file says nothing about its host.
func (h *hosts) release(name string, failed error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	x := h.all[name]
	x.busy--
	switch {
	case failed == nil:
		x.limit = min(x.limit+1, h.most)
	case isTooMuch(failed):
		x.limit = max(x.limit/2, 1)
	}
	for x.busy < x.limit && x.waiting.Len() > 0 {
		close(x.waiting.Remove(x.waiting.Front()).(chan struct{}))
		x.busy++
	}
	if x.busy > 0 || x.waiting.Len() > 0 {
		return
	}
	if x.limit == h.most {
		delete(h.all, name)
		return
	}
	x.idle = h.idle.PushBack(name)
	if h.idle.Len() > maxIdleHosts {
		delete(h.all, h.idle.Remove(h.idle.Front()).(string))
	}
}

// isTooMuch reports whether a failure may be caused by too many requests to a host.
func isTooMuch(err error) bool {
	switch fault.KindOf(err) {
	case fault.SourceError, fault.SourceTimeout, fault.ConnectFailed, fault.OriginCircuitOpen, fault.RateLimited:
		return !errors.Is(err, fault.ErrThisFile)
	}
	return false
}
