//go:build targets

package main

import (
	"encoding/binary"

	"github.com/cilium/ebpf/btf"
)

// relocate is what cilium/ebpf of today has for it. Ids of the object's own types are no question of the kernel's.
func relocate(relos []*btf.CORERelocation, kernel *btf.Spec, order binary.ByteOrder) ([]btf.COREFixup, error) {
	ownID := func(btf.Type) (btf.TypeID, error) { return 1, nil }
	return btf.CORERelocate(relos, []*btf.Spec{kernel}, order, ownID)
}
