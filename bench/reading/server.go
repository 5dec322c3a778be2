package main

import (
	"context"
	"fmt"

	"github.com/goldcrest/goldcrest/bench/rig"
	"github.com/goldcrest/goldcrest/client"
)

// build is one of the compared programs, which runs.
type build struct {
	name string
	*rig.Server
	api *client.API
}

// startBuild starts a program on an empty data folder below dir.
func startBuild(ctx context.Context, name, binary, dir string) (build, error) {
	b := rig.Bench{Binary: binary, Work: dir}
	s, err := b.StartServer(ctx, rig.MemoryTier)
	if err != nil {
		return build{}, err
	}
	api, err := s.Api()
	if err != nil {
		s.Stop()
	}
	return build{name, s, api}, err
}

// variant requests a source.
func (b build) variant(ctx context.Context, source, options, accept string) ([]byte, error) {
	path, err := b.Path(source, options)
	if err != nil {
		return nil, err
	}
	body, _, err := b.Get(ctx, path, accept)
	return body, err
}

// prewarm makes the final variants of a source.
func (b build) prewarm(ctx context.Context, source string, options []string) error {
	call := client.Call{URLs: []string{source}, Return: "none"}
	for i, o := range options {
		call.Variants = append(call.Variants, client.Variant{Name: fmt.Sprint("v", i), Options: o})
	}
	a, err := b.api.Prewarm(ctx, call)
	if err != nil {
		return err
	}
	j, err := b.api.Wait(ctx, a.Job, nil)
	if err == nil && (j.Counts.Made == 0 || j.Counts.Made+j.Counts.Present != j.Counts.Variants) {
		err = fmt.Errorf("prewarm ended %s: %+v", j.State, j.Counts)
	}
	return err
}
