//go:build !targets

package main

import (
	"encoding/binary"

	"github.com/cilium/ebpf/btf"
)

// relocate is what cilium/ebpf 0.11 has for it.
func relocate(relos []*btf.CORERelocation, kernel *btf.Spec, order binary.ByteOrder) ([]btf.COREFixup, error) {
	return btf.CORERelocate(relos, kernel, order)
}
