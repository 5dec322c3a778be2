package transform

import (
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// areaBytes is the room for one variant after the original, and so the largest variant. It costs nothing until it is
// used.
const areaBytes = 32 << 20

// keepBytes of original and variant stay in shared memory between requests. A page that already exists is five times
// cheaper than a new one, but a rare large picture must not hold memory for ever.
const keepBytes = 4 << 20

// memory is shared between one worker and the server: the original and the watermarks behind it, then the area for one
// variant.
type memory struct {
	file  *os.File
	bytes []byte
	area  int64 // offset of the area
	used  int64 // by the last request, before the area
}

// newMemory allocates memory for originals of at most originalBytes. Its size is sealed: a worker that could shrink it
// would kill the server with SIGBUS.
func newMemory(originalBytes int64) (*memory, error) {
	fd, err := unix.MemfdCreate("goldcrest", unix.MFD_CLOEXEC|unix.MFD_ALLOW_SEALING)
	if err != nil {
		return nil, fmt.Errorf("shared memory: %w", err)
	}
	m := &memory{file: os.NewFile(uintptr(fd), "goldcrest"), area: pageAlign(originalBytes + marksBytes)}
	size := m.area + areaBytes
	if err := unix.Ftruncate(fd, size); err != nil {
		return nil, m.fail("size", err)
	}
	if _, err := unix.FcntlInt(uintptr(fd), unix.F_ADD_SEALS, unix.F_SEAL_SHRINK|unix.F_SEAL_GROW|unix.F_SEAL_SEAL); err != nil {
		return nil, m.fail("seal", err)
	}
	if m.bytes, err = unix.Mmap(fd, 0, int(size), unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED); err != nil {
		return nil, m.fail("map", err)
	}
	return m, nil
}

func (m *memory) fail(what string, err error) error {
	m.close()
	return fmt.Errorf("shared memory: %s: %w", what, err)
}

// trim frees what the last request used beyond keepBytes. Punching a hole frees the pages on both sides at once.
func (m *memory) trim(largest int64) error {
	for _, used := range [][2]int64{{0, m.used}, {m.area, largest}} {
		if used[1] <= keepBytes {
			continue
		}
		const mode = unix.FALLOC_FL_PUNCH_HOLE | unix.FALLOC_FL_KEEP_SIZE
		if err := unix.Fallocate(int(m.file.Fd()), mode, used[0]+keepBytes, pageAlign(used[1])-keepBytes); err != nil {
			return fmt.Errorf("shared memory: give back: %w", err)
		}
	}
	return nil
}

func (m *memory) close() {
	if m.bytes != nil {
		_ = unix.Munmap(m.bytes)
		m.bytes = nil
	}
	_ = m.file.Close()
}

func pageAlign(n int64) int64 {
	page := int64(os.Getpagesize())
	return (n + page - 1) / page * page
}
