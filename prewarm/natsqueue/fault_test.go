package natsqueue

import (
	"crypto/sha256"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/goldcrest/goldcrest/fault"
	"github.com/goldcrest/goldcrest/prewarm/ledger"
	"github.com/goldcrest/goldcrest/prewarm/ledger/ledgertest"
)

// smallDisk returns a directory on a file system of that size.
func smallDisk(t *testing.T, size string) string {
	t.Helper()
	dir := t.TempDir()
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "size="+size); err != nil {
		t.Skip("a small file system cannot be mounted here: ", err)
	}
	t.Cleanup(func() { _ = syscall.Unmount(dir, syscall.MNT_DETACH) })
	return dir
}

// fill uses all free space, and returns a function that frees it.
func fill(t *testing.T, dir string) (free func()) {
	t.Helper()
	path := filepath.Join(dir, "filler")
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	for chunk := make([]byte, 64<<10); len(chunk) > 0; {
		if _, err := f.Write(chunk); err != nil {
			chunk = chunk[:len(chunk)/2]
		}
	}
	return func() {
		if err := f.Close(); err != nil {
			t.Error(err)
		}
		if err := os.Remove(path); err != nil {
			t.Error(err)
		}
	}
}

// The reserve is right for disks of every size: a product of two sizes would overflow on large ones, and leave no
// reserve.
func TestReserveOnDisksOfEverySize(t *testing.T) {
	const tb = int64(1e12)
	for _, tt := range []struct{ disk, reserve, floor int64 }{
		{16 << 20, 2 << 20, 256 << 10},
		{512 << 20, 64 << 20, 8 << 20},
		{1 * tb, 64 << 20, 8 << 20},
		{2 * tb, 64 << 20, 8 << 20},
		{8 * tb, 64 << 20, 8 << 20},
		{100 * tb, 64 << 20, 8 << 20},
		{1 << 62, 64 << 20, 8 << 20},
	} {
		if got := needed(reserve, tt.disk); got != tt.reserve {
			t.Errorf("a disk of %d bytes: the reserve is %d, want %d", tt.disk, got, tt.reserve)
		}
		if got := needed(floor, tt.disk); got != tt.floor {
			t.Errorf("a disk of %d bytes: the floor is %d, want %d", tt.disk, got, tt.floor)
		}
	}
}

// A full disk is reported, loses nothing that was acknowledged, and works again when there is room.
func TestFault15DiskFull(t *testing.T) {
	dir := smallDisk(t, "16m")
	q := open(t, filepath.Join(dir, "queue"), nil)
	i := start(t, q, newWorld(), false, nil)
	before := accept(t, i, call(0, 10))
	free := fill(t, dir)
	if kind := fault.KindOf(q.Room(t.Context())); kind != fault.DiskFull {
		t.Errorf("Room: got %q, want disk_full", kind)
	}
	if _, err := i.Accept(t.Context(), "backend", "", sha256.Sum256(nil), call(10, 10)); fault.KindOf(err) != fault.DiskFull {
		t.Errorf("Accept: got %v, want disk_full", err)
	}
	full := false
	for n := range 200 {
		err := q.Write(t.Context(), rec(fmt.Sprintf("task.full.%05d", n), "m", strings.Repeat("x", 50_000), 0))
		if full = fault.KindOf(err) == fault.DiskFull; err != nil {
			if !full {
				t.Errorf("Write: got %v, want disk_full", err)
			}
			break
		}
	}
	if !full {
		t.Error("nothing was refused on a full disk")
	}
	free()
	mustWrite(t, q, rec("task.after.00000", "m", "b", 0))
	after := accept(t, i, call(20, 10))
	for _, id := range []string{before.Job.ID, after.Job.ID} {
		if j, err := i.Job(t.Context(), id, 0); err != nil || j.Counts.Pending != 20 {
			t.Errorf("got %+v %v", j, err)
		}
	}
	ledgertest.WantWaiting(t, q, ledger.LaneNormal, 2)
}

// A server that failed to write on a full disk is replaced when there is room, and then has everything that it
// acknowledged.
func TestFault15ServerIsRevived(t *testing.T) {
	dir := smallDisk(t, "16m")
	q := open(t, filepath.Join(dir, "queue"), nil)
	mustWrite(t, q, rec("task.kept.00000", "m", "b", 0))
	free := fill(t, dir)
	// Bypass our check of the disk, as when other programs fill it at the same moment.
	for n := range 400 {
		if _, err := opened(t, q).js.PublishAsync(ledgerRoot+fmt.Sprintf("task.full.%05d", n), make([]byte, 50_000)); err != nil {
			t.Fatal(err)
		}
	}
	<-q.embedded.failed()
	if err := q.Write(t.Context(), rec("task.no.00000", "m", "b", 0)); fault.KindOf(err) != fault.DiskFull {
		t.Errorf("got %v, want disk_full", err)
	}
	free()
	mustWrite(t, q, rec("task.after.00000", "m", "b", 0))
	if got := list(t, q, ledger.Scan{Prefix: "task.kept", Bodies: true}); len(got) != 1 {
		t.Errorf("got %q, want the record from before", got)
	}
	if err := q.Put(t.Context(), ticket("normal", "x")); err != nil {
		t.Error(err)
	}
}
