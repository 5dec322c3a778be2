package specimen

import (
	"encoding/base64"
	"encoding/binary"
)

// heicFile is a black HEIC of 16 x 16 pixels. It is embedded because there may be no encoder for it at run time.
const heicFile = "" +
	"AAAAHGZ0eXBoZWljAAAAAG1pZjFoZWljbWlhZgAAAa1tZXRhAAAAAAAAACFoZGxyAAAAAAAAAABwaWN0AAAAAAAAAAAAAAAAAAAA" +
	"AA5waXRtAAAAAAACAAAAEGlkYXQAAAAAABAAEAAAADhpbG9jAQAAAERAAAIAAQAAAAAAAAHRAAEAAAAAAAAAKwACAAEAAAAAAAAA" +
	"AQAAAAAAAAAIAAAAOGlpbmYAAAAAAAIAAAAVaW5mZQIAAAEAAQAAaHZjMQAAAAAVaW5mZQIAAAAAAgAAZ3JpZAAAAADYaXBycAAA" +
	"ALZpcGNvAAAAdmh2Y0MBA3AAAAAAAAAAAAAe8AD8/fj4AAAPAyAAAQAYQAEMAf//A3AAAAMAkAAAAwAAAwAeugJAIQABACpCAQED" +
	"cAAAAwCQAAADAAADAB6gIIEFluqumubgQEDAgAAAAwCAAAADAIQiAAEABkQBwXPBiQAAABRpc3BlAAAAAAAAAEAAAABAAAAAFGlz" +
	"cGUAAAAAAAAAEAAAABAAAAAQcGl4aQAAAAADCAgIAAAAGmlwbWEAAAAAAAAAAgABAoECAAICA4QAAAAaaXJlZgAAAAAAAAAOZGlt" +
	"ZwACAAEAAQAAADNtZGF0AAAAJygBrxMhMZb4TlCn//1nhc0MlUxauU+lc90KUJNyfrj+8oeTxWKC4A=="

// jxlFile is a red JPEG XL of 16 x 16 pixels, embedded for the same reason.
const jxlFile = "" +
	"AAAADEpYTCANCocKAAAAFGZ0eXBqeGwgAAAAAGp4bCAAAAAQanhscAAAAAD/CkMGAAAAfGJyb2JFeGlmG7cAAIQH+qu9f+yBW1mB" +
	"NNHfKNAFCa+LKC2wdUxsdXIKPxAeKG23K4QRxDkPlT8psuPdB4Zho0VtHpLwFaBZhkreY9V9wHoXEYsIDHh/sh5s2V35p3zWfBsZ" +
	"ZduX8COFmBij9KWE8SpNE3GcHRIKAAAAAGZqeGxwgAAAAQAliAYATAGxYhUAgAqVUcYNXs71fPmhw2LaxnWGttq2sISx2V4YJCSc" +
	"wHbZTPN05Nl9LHLt0goz2HB/m1YNoEIK5DSKFRWDNRlk+wTwuy3durAvaJLhcgGrAw=="

// HEIC is a black HEIC of 16 x 16 pixels.
func HEIC() []byte { return decoded(heicFile) }

// JXL is a red JPEG XL of 16 x 16 pixels.
func JXL() []byte { return decoded(jxlFile) }

func decoded(text string) []byte {
	b, err := base64.StdEncoding.DecodeString(text)
	if err != nil {
		panic(err) // The constants above are valid.
	}
	return b
}

// TIFF is an uncompressed grey TIFF of 16 x 16 pixels.
func TIFF() []byte {
	const side, pixels = 16, 8
	b := append([]byte("II*\x00"), make([]byte, 4+side*side)...)
	binary.LittleEndian.PutUint32(b[4:], uint32(len(b)))
	entries := [][3]uint32{
		{256, 4, side}, {257, 4, side}, {258, 3, 8}, {259, 3, 1}, {262, 3, 1}, {273, 4, pixels}, {277, 3, 1}, {278, 4,
			side},
		{279, 4, side * side},
	}
	b = binary.LittleEndian.AppendUint16(b, uint16(len(entries)))
	for _, e := range entries {
		b = binary.LittleEndian.AppendUint16(b, uint16(e[0]))
		b = binary.LittleEndian.AppendUint16(b, uint16(e[1]))
		b = binary.LittleEndian.AppendUint32(b, 1)
		b = binary.LittleEndian.AppendUint32(b, e[2])
	}
	return binary.LittleEndian.AppendUint32(b, 0)
}
