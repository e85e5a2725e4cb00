"""The stack of dense layers with its derivative written out."""

import torch

from optrl.networks.perceptron import perceptron


def layers(generator, groups, scenarios, items, width=3):
    """Random float64 arguments; the first bias differs by group and item, the second does not."""

    def draw(*shape):
        return torch.randn(*shape, dtype=torch.float64, generator=generator, requires_grad=True)

    inputs = draw(4, groups, scenarios, items)
    biases = [draw(groups, 1, items, width), draw(groups, 1, items, width), draw(width)]
    return inputs, draw(4, width), biases, [draw(width, width), draw(width, width)], draw(width)


def by_modules(inputs, first, biases, weights, out):
    """The same written with torch's own operations."""
    hidden = torch.relu(torch.einsum("fgsn,fh->gsnh", inputs, first) + biases[0])
    for weight, bias in zip(weights, biases[1:], strict=True):
        hidden = torch.relu(hidden @ weight + bias)
    return hidden @ out


def test_value_and_derivatives_are_those_of_plain_operations():
    """Outputs and all gradients equal autograd's, also where one dimension has length 1."""
    generator = torch.Generator().manual_seed(0)
    for groups, scenarios, items in ((2, 5, 3), (1, 1, 4), (3, 6, 1)):
        arguments = layers(generator, groups, scenarios, items)
        inputs, first, biases, weights, out = arguments
        leaves = [inputs, first, *biases, *weights, out]
        weigh = torch.randn(groups, scenarios, items, dtype=torch.float64, generator=generator)
        found = perceptron(*arguments)
        expected = by_modules(*arguments)
        torch.testing.assert_close(found, expected)
        gradients = torch.autograd.grad((found * weigh).sum(), leaves)
        references = torch.autograd.grad((expected * weigh).sum(), leaves)
        for gradient, reference in zip(gradients, references, strict=True):
            torch.testing.assert_close(gradient, reference)


def test_gradients_add_up_when_it_is_used_many_times():
    """Biases and weights shared by several calls collect the sum of their gradients."""
    generator = torch.Generator().manual_seed(1)
    inputs, first, biases, weights, out = layers(generator, 1, 1, 2)
    twice = perceptron(inputs, first, biases, weights, out).sum()
    twice = twice + perceptron(2 * inputs, first, biases, weights, out).sum()
    once = by_modules(inputs, first, biases, weights, out).sum()
    once = once + by_modules(2 * inputs, first, biases, weights, out).sum()
    for leaf in (first, *biases, *weights):
        (found,) = torch.autograd.grad(twice, leaf, retain_graph=True)
        (expected,) = torch.autograd.grad(once, leaf, retain_graph=True)
        torch.testing.assert_close(found, expected)
