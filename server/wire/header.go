package wire

import "net/textproto"

// AppendHeader writes one header line as net/http would. No value of the server contains a line end. If one did, it
// must not start a new header line.
func AppendHeader(b []byte, name, value string) []byte {
	b = append(append(b, name...), ": "...)
	for _, c := range []byte(textproto.TrimString(value)) {
		if c == '\r' || c == '\n' {
			c = ' '
		}
		b = append(b, c)
	}
	return append(b, "\r\n"...)
}
