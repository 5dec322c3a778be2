package main

import "github.com/goldcrest/goldcrest/transform/codec"

// openAll opens what most measurements need: the codec and the pictures of the folders.
func openAll(o options) (*codec.Codec, []picture, error) {
	c, err := codec.New(codec.EngineVips)
	if err != nil {
		return nil, nil, err
	}
	found, err := pictures(o.dirs)
	return c, found, err
}
