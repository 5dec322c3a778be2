package e2e

import (
	"bytes"
	"compress/zlib"
	bits "encoding/binary"
	"fmt"
	"hash/crc32"
	"net/http"
	"os"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// plainPNG is an interlaced PNG of zeros. The file is small, but in memory it is as large as a picture of its size can
// be: an interlaced picture must be in memory completely before its first row is ready. colour and channels must match
// as in the PNG specification, section 11.2.2.
func plainPNG(t *testing.T, side, depth, colour, channels int) []byte {
	t.Helper()
	var file, pixels bytes.Buffer
	file.WriteString("\x89PNG\r\n\x1a\n")
	chunk := func(name string, data []byte) {
		body := append([]byte(name), data...)
		bits.Write(&file, bits.BigEndian, uint32(len(data)))
		file.Write(body)
		bits.Write(&file, bits.BigEndian, crc32.ChecksumIEEE(body))
	}
	head := bits.BigEndian.AppendUint32(nil, uint32(side))
	head = bits.BigEndian.AppendUint32(head, uint32(side))
	chunk("IHDR", append(head, byte(depth), byte(colour), 0, 0, 1))
	z, err := zlib.NewWriterLevel(&pixels, zlib.BestSpeed)
	if err != nil {
		t.Fatal(err)
	}
	// First column, first row and steps of the seven passes (section 8.2).
	for _, p := range [][4]int{{0, 0, 8, 8}, {4, 0, 8, 8}, {0, 4, 4, 8}, {2, 0, 4, 4}, {0, 2, 2, 4}, {1, 0, 2, 2}, {0, 1, 1, 2}} {
		columns, rows := (side-p[0]+p[2]-1)/p[2], (side-p[1]+p[3]-1)/p[3]
		row := make([]byte, 1+(columns*channels*depth+7)/8)
		for range rows {
			z.Write(row)
		}
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	chunk("IDAT", pixels.Bytes())
	chunk("IEND", nil)
	return file.Bytes()
}

// pss is the memory of a server and its workers in bytes, with shared pages counted once.
func (s *server) pss() (sum int64) {
	for _, pid := range append(s.workers(), s.cmd.Process.Pid) {
		text, _ := os.ReadFile(fmt.Sprintf("/proc/%d/smaps_rollup", pid)) // It may just have ended.
		for line := range strings.Lines(string(text)) {
			if rest, ok := strings.CutPrefix(line, "Pss:"); ok {
				kb, _ := strconv.ParseInt(strings.TrimSuffix(strings.TrimSpace(rest), " kB"), 10, 64)
				sum += kb << 10
			}
		}
	}
	return sum
}

// Fifty concurrent requests, each for a picture just below the pixel limit. Only as many are decoded at a time as
// transform.image_memory allows, and each is answered.
func TestFault36NearTheCap(t *testing.T) {
	const imageMemory, allowance = 512 << 20, 64 << 20 // The allowance is for a worker's memory besides the pixels.
	o := startOrigin(t)
	var sources []string
	for i, file := range [][]byte{
		plainPNG(t, 7000, 8, 0, 1),
		plainPNG(t, 7000, 8, 2, 3),
		plainPNG(t, 7000, 16, 6, 4), // More than the budget.
	} {
		name := fmt.Sprintf("/%d.png", i)
		o.on(name, func(w http.ResponseWriter, _ *http.Request) { w.Write(file) })
		sources = append(sources, o.URL+name)
	}
	s := start(t, "GOLDCREST_TRANSFORM_IMAGE_MEMORY=512MiB", "GOLDCREST_SERVER_DEADLINE=35s", "GOLDCREST_TRANSFORM_TIMEOUT=30s")
	base, peak := s.pss(), int64(0)
	told := map[int]int{}
	var mu sync.Mutex
	var wg sync.WaitGroup
	for n := range 50 {
		wg.Go(func() {
			a, err := request("GET", s.public+signed("w:200/f:jpg", fmt.Sprintf("%s?n=%d", sources[n%len(sources)], n)))
			mu.Lock()
			defer mu.Unlock()
			if err != nil {
				t.Error(err)
				return
			}
			told[a.StatusCode]++
		})
	}
	done := make(chan struct{})
	go func() { wg.Wait(); close(done) }()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for watching := true; watching; {
		select {
		case <-done:
			watching = false
		case <-tick.C:
			peak = max(peak, s.pss())
		}
	}
	most := base + imageMemory + 2*allowance
	t.Logf("at rest %d MB, peak %d MB, at most %d MB; answers %v", base>>20, peak>>20, most>>20, told)
	if peak > most {
		t.Errorf("server and workers took %d MB, want at most %d", peak>>20, most>>20)
	}
	if peak < base+(140<<20) {
		t.Errorf("server and workers took %d MB: the pictures cannot have been decoded", peak>>20)
	}
	if told[200] == 0 || told[422] == 0 || told[200]+told[422]+told[503]+told[504] != 50 {
		t.Errorf("got answers %v; want pictures, refusals of those that alone need more than the budget, and of what comes too much at once", told)
	}
	if a := s.get(signed("w:201/f:jpg", sources[0])); a.StatusCode != 200 {
		t.Errorf("afterwards: got %d %s", a.StatusCode, a.Header.Get("X-Error"))
	}
}
