// What a controller that is built on lib-volume-populator passes to our image.
//
//	populatormachinery.PodConfig{
//		ImageName:     "images.example.com/oss-populator:0.1.0",
//		DevicePath:    devicePath,
//		MountPath:     mountPath,
//		PopulatorArgs: populatorArgs,
//	}
//
// The worker's pod gets arguments and nothing else, so that the whole spec is one of them. It runs as the service account
// `default` of the controller's namespace; on ACK, ack-pod-identity-webhook gives that one the token of RRSA.
package main

import (
	"encoding/json"
	"fmt"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

const (
	mountPath  = "/mnt/target"
	devicePath = "/dev/block"
)

func populatorArgs(rawBlock bool, populator *unstructured.Unstructured) ([]string, error) {
	spec, found, err := unstructured.NestedMap(populator.Object, "spec")
	if err != nil {
		return nil, err
	}
	if !found {
		return nil, fmt.Errorf("%s has no spec", populator.GetName())
	}
	text, err := json.Marshal(spec)
	if err != nil {
		return nil, err
	}
	target := mountPath
	if rawBlock {
		target = devicePath
	}
	return []string{"populate", "--target=" + target, "--spec=" + string(text)}, nil
}
