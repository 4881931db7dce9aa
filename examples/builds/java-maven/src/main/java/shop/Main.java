package shop;

import java.util.stream.IntStream;

public class Main {
    record Item(String name, int price) {}

    public static void main(String[] args) {
        var item = new Item("tea", IntStream.rangeClosed(1, 4).sum());
        System.out.println(item);
    }
}
