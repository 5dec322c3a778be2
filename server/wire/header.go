package wire

import "net/textproto"

// AppendHeader writes one header line as net/http would. No value that the server makes holds a line end; should one,
// it must not become a line of its own.
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
