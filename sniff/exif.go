package sniff

import "encoding/binary"

const tagOrientation = 0x0112

// exifOrientation finds the orientation in a TIFF-structured EXIF block (without the "Exif\0\0" prefix); 0 if there is
// none. It trusts no length: an entry counts if its own twelve bytes are present.
func exifOrientation(b []byte) int {
	order := byteOrder(b)
	if order == nil || len(b) < 8 {
		return 0
	}
	at := uint64(order.Uint32(b[4:]))
	if at+2 > uint64(len(b)) {
		return 0
	}
	count := int(order.Uint16(b[at:]))
	entries := b[at+2:]
	for ; count > 0 && len(entries) >= 12; count-- {
		if order.Uint16(entries) == tagOrientation {
			return entryValue(order, entries)
		}
		entries = entries[12:]
	}
	return 0
}

func byteOrder(b []byte) binary.ByteOrder {
	if len(b) < 4 {
		return nil
	}
	switch string(b[:4]) {
	case "II*\x00":
		return binary.LittleEndian
	case "MM\x00*":
		return binary.BigEndian
	}
	return nil
}

// entryValue is the first value stored inside a directory entry of 12 bytes: a byte, a short or a long.
func entryValue(order binary.ByteOrder, entry []byte) int {
	switch order.Uint16(entry[2:]) {
	case 1, 6:
		return int(entry[8])
	case 3, 8:
		return int(order.Uint16(entry[8:]))
	case 4, 9, 13:
		return int(order.Uint32(entry[8:]))
	}
	return 0
}
