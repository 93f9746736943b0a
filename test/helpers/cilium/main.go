// The real cilium/ebpf as an oracle: what it makes of an object's CO-RE relocations with a given BTF.
//
// Reads lines "OBJECT\tBTF" and prints, for each program of the object by name, a line for each relocation, or why
// there is none; then "= done". With the build tag "targets" for versions that relocate against several BTFs at once.
package main

import (
	"bufio"
	"fmt"
	"os"
	"sort"
	"strings"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/btf"
)

func main() {
	lines := bufio.NewScanner(os.Stdin)
	out := bufio.NewWriter(os.Stdout)
	kernels := lastKernel{}
	for lines.Scan() {
		object, kernel, _ := strings.Cut(lines.Text(), "\t")
		if err := tell(out, object, kernel, &kernels); err != nil {
			fmt.Fprintf(out, "refused: %v\n", err)
		}
		fmt.Fprintln(out, "= done")
		out.Flush()
	}
}

// lastKernel remembers one kernel: many objects on one full BTF in turn parse it once.
type lastKernel struct {
	path string
	spec *btf.Spec
}

func (last *lastKernel) load(path string) (*btf.Spec, error) {
	if last.path == path {
		return last.spec, nil
	}
	spec, err := btf.LoadSpec(path)
	if err != nil {
		return nil, err
	}
	last.path, last.spec = path, spec
	return spec, nil
}

func tell(out *bufio.Writer, object, kernel string, kernels *lastKernel) error {
	collection, err := ebpf.LoadCollectionSpec(object)
	if err != nil {
		return fmt.Errorf("object: %w", err)
	}
	target, err := kernels.load(kernel)
	if err != nil {
		return fmt.Errorf("kernel: %w", err)
	}
	names := make([]string, 0, len(collection.Programs))
	for name := range collection.Programs {
		names = append(names, name)
	}
	sort.Strings(names)
	for _, name := range names {
		var relos []*btf.CORERelocation
		instructions := collection.Programs[name].Instructions
		for i := range instructions {
			if relo := btf.CORERelocationMetadata(&instructions[i]); relo != nil {
				relos = append(relos, relo)
			}
		}
		if len(relos) == 0 {
			continue
		}
		fixups, err := relocate(relos, target, collection.ByteOrder)
		if err == nil {
			for i := range fixups {
				fmt.Fprintf(out, "%s#%d: %s\n", name, i, &fixups[i])
			}
			continue
		}
		// Types are looked at in no order, and the first that fails is named: each relocation alone tells the same
		// every time.
		fmt.Fprintf(out, "%s: refused\n", name)
		for i := range relos {
			fixups, err := relocate(relos[i:i+1], target, collection.ByteOrder)
			if err != nil {
				fmt.Fprintf(out, "%s#%d alone: %v\n", name, i, err)
			} else {
				fmt.Fprintf(out, "%s#%d alone: %s\n", name, i, &fixups[0])
			}
		}
	}
	return nil
}
