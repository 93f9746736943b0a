// Loads a BPF object with BTF from a hub: cilium/ebpf relocates against it instead of the kernel's own.
package main

import (
	"fmt"
	"log"
	"os"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/btf"
)

func main() {
	if len(os.Args) != 3 {
		log.Fatalf("usage: %s KERNEL.btf OBJECT.bpf.o", os.Args[0])
	}
	kernel, err := btf.LoadSpec(os.Args[1])
	if err != nil {
		log.Fatal(err)
	}
	spec, err := ebpf.LoadCollectionSpec(os.Args[2])
	if err != nil {
		log.Fatal(err)
	}
	collection, err := ebpf.NewCollectionWithOptions(spec, ebpf.CollectionOptions{
		Programs: ebpf.ProgramOptions{KernelTypes: kernel},
	})
	if err != nil {
		log.Fatal(err)
	}
	defer collection.Close()
	for name := range collection.Programs {
		fmt.Println("loaded", name)
	}
}
